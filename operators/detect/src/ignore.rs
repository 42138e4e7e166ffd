//! What must not enter an image where the repository does not say.

use crate::Tree;

/// Never of use, often large or secret.
const ALWAYS: &str = "\
# What tools make, and what must stay at home.
**/.git
**/.DS_Store
**/.env
**/.env.*
!**/.env.example
**/.venv
**/venv
**/__pycache__
**/*.pyc
**/.pytest_cache
**/.mypy_cache
**/node_modules
**/.npm
**/npm-debug.log*
**/.idea
**/.vscode
";

/// The .dockerignore of a generated Dockerfile; none where the repository has its own.
/// `made` are patterns of what the language's tools make.
pub(crate) fn file(tree: &Tree, at_root: bool, made: &[&str]) -> Option<String> {
    let own = if at_root {
        tree.root_has(".dockerignore")
    } else {
        tree.has(".dockerignore")
    };
    if own {
        return None;
    }
    let mut text = ALWAYS.to_owned();
    for folder in made {
        text += &format!("{folder}\n");
    }
    Some(text)
}
