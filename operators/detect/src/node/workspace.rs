//! What an application uses of its own workspace.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{tree::is_plain_path, work::Work};

use super::Package;

/// Most packages of a workspace that are built before the application.
const BUILDS_MAX: usize = 50;

/// A package of the workspace.
struct Member {
    folder: String,
    builds: bool,
    uses: Vec<String>,
}

impl Member {
    fn of(folder: &str, package: &Value) -> Self {
        let names = ["dependencies", "devDependencies"].into_iter();
        let tables = names.filter_map(|key| package[key].as_object());
        Self {
            folder: folder.to_owned(),
            builds: package["scripts"]["build"].is_string(),
            uses: tables.flatten().map(|(name, _)| name.clone()).collect(),
        }
    }
}

/// Folders of the packages that the application uses and that are built, each after those that it
/// uses itself.
pub(crate) fn builds(work: &Work<'_>, package: &Package) -> Vec<String> {
    let Some(root) = &work.tree.root else {
        return Vec::new();
    };
    let members: BTreeMap<String, Member> = root
        .content
        .iter()
        .filter_map(|(path, text)| {
            let folder = path.strip_suffix("/package.json")?;
            let package: Value = serde_json::from_str(text).ok()?;
            let name = package["name"].as_str()?.to_owned();
            (is_plain_path(folder) && folder != root.path)
                .then(|| (name, Member::of(folder, &package)))
        })
        .collect();
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    // Without recursion: a member is entered, then what it uses, then it is left.
    let own = Member::of("", &package.0).uses;
    let mut open: Vec<(String, bool)> = own.into_iter().map(|name| (name, false)).collect();
    while let Some((name, entered)) = open.pop() {
        let Some(member) = members.get(&name) else {
            continue;
        };
        if entered {
            if member.builds && order.len() < BUILDS_MAX {
                order.push(member.folder.clone());
            }
        } else if seen.insert(name.clone()) {
            open.push((name, true));
            open.extend(member.uses.iter().map(|it| (it.clone(), false)));
        }
    }
    order
}
