//! What must hold of the generated definitions as a whole.

use kube::ResourceExt;

/// `kubectl apply` keeps the last applied object in an annotation; annotations may hold 256 KiB.
const ANNOTATION_MAX: usize = 256 * 1024;

#[test]
fn every_definition_fits_client_side_apply() {
    for crd in trackbed_api::crds() {
        let size = serde_json::to_string(&crd)
            .expect("a definition is JSON")
            .len();
        assert!(
            size < ANNOTATION_MAX / 2,
            "{} has {size} bytes",
            crd.name_any()
        );
    }
}

#[test]
fn every_kind_is_found_by_short_name_and_category() {
    for crd in trackbed_api::crds() {
        let names = &crd.spec.names;
        assert_eq!(
            names.categories.as_deref(),
            Some(&["trackbed".to_owned()][..])
        );
        assert!(
            names
                .short_names
                .as_ref()
                .is_some_and(|short| short.len() == 1 && short[0].starts_with('t'))
        );
        let version = &crd.spec.versions[0];
        assert!(
            version
                .subresources
                .as_ref()
                .is_some_and(|sub| sub.status.is_some()),
            "{}",
            names.kind
        );
        let columns = version
            .additional_printer_columns
            .as_deref()
            .unwrap_or_default();
        assert!(
            columns.iter().any(|column| column.name == "Reason"),
            "{} does not say why",
            names.kind
        );
    }
}
