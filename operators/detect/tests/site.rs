//! What static files leave out of the build.

use trackbed_detect::{Settings, Tree, detect};

fn ignored(files: &[&str], build: Option<&str>) -> Option<String> {
    let tree = Tree {
        files: files.iter().map(|it| (*it).to_owned()).collect(),
        ..Tree::default()
    };
    let settings = Settings {
        build_command: build.map(str::to_owned),
        ..Settings::default()
    };
    detect(&tree, &settings).expect("a site").dockerignore
}

#[test]
fn hidden_files_stay_at_home_unless_a_command_may_need_them() {
    let hidden = |text: Option<String>| {
        let text = text.expect("the repository has none");
        text.lines().any(|it| it == "**/.*")
    };
    assert!(hidden(ignored(&["index.html"], None)));
    assert!(!hidden(ignored(&["index.html"], Some("make site"))));
    assert_eq!(ignored(&["index.html", ".dockerignore"], None), None);
}
