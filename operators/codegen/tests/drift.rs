//! The files in the repository are those that follow from the types.

use trackbed_codegen::{drift, files, rbac::RIGHTS, root};

/// `kubectl apply` keeps what it applied in an annotation, and annotations may hold 256 KiB.
const MAX: usize = 200 * 1024;

#[test]
fn generated_files_are_up_to_date() {
    let files = files().expect("everything serialises");
    let drifted = drift(&root(), &files).expect("the files are readable");
    assert!(
        drifted.is_empty(),
        "not up to date, run 'cargo xtask codegen': {drifted:#?}"
    );
}

#[test]
fn a_changed_a_missing_and_a_superfluous_file_are_found_and_mended() {
    let folder = std::env::temp_dir().join(format!("trackbed-codegen-{}", std::process::id()));
    let files = files().expect("everything serialises");
    let all: Vec<String> = files.keys().cloned().collect();
    trackbed_codegen::write(&folder, &files, &all).expect("the folder is ours");
    assert_eq!(drift(&folder, &files).expect("readable"), [""; 0]);

    let write = |path: &str| std::fs::write(folder.join(path), "other").expect("written");
    write("crds/projects.yaml");
    write("crds/yesterdays.yaml");
    std::fs::remove_file(folder.join("crds/services.yaml")).expect("removed");
    let drifted = drift(&folder, &files).expect("readable");
    assert_eq!(
        drifted,
        [
            "crds/projects.yaml",
            "crds/services.yaml",
            "crds/yesterdays.yaml"
        ]
    );

    trackbed_codegen::write(&folder, &files, &drifted).expect("mended");
    assert_eq!(drift(&folder, &files).expect("readable"), [""; 0]);
    std::fs::remove_dir_all(&folder).expect("removed");
}

/// A controller whose rights nobody asks for would start and be refused everything.
#[test]
fn no_controller_is_forgotten() {
    let mut found = 0;
    for entry in std::fs::read_dir(root().join("operators")).expect("the folder is there") {
        let folder = entry.expect("an entry").path();
        let text = std::fs::read_to_string(folder.join("src/lib.rs")).unwrap_or_default();
        if text.contains("\npub const RIGHTS: ") {
            let name = folder.file_name().and_then(|name| name.to_str());
            let known = RIGHTS.iter().any(|(who, _)| Some(*who) == name);
            assert!(known, "{name:?} is not in trackbed_codegen::rbac::RIGHTS");
            found += 1;
        }
    }
    assert!(found >= 4, "only {found} controllers were found");
}

#[test]
fn every_definition_fits_client_side_apply() {
    for crd in trackbed_api::crds() {
        let size = serde_json::to_vec(&crd).expect("JSON").len();
        assert!(size < MAX, "{} has {size} bytes", crd.spec.names.kind);
    }
}
