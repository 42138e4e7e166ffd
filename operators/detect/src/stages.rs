//! What the stages of a Dockerfile are made from.

use std::collections::BTreeSet;

use crate::declare::instructions;

/// A stage, by what its FROM says.
struct Stage {
    base: String,
    name: Option<String>,
}

/// Images that only stages are made from which the image itself is not: those that compile and
/// install. Up to the stage `target`, or the last.
///
/// None where that takes more than reading: variables, platforms, digests, and stages that are made
/// from others.
pub fn building_bases(dockerfile: &str, target: Option<&str>) -> Option<BTreeSet<String>> {
    let mut stages: Vec<Stage> = Vec::new();
    for from in instructions(dockerfile)
        .into_iter()
        .filter(|it| it.name == "from")
    {
        let stage = stage(&from.rest)?;
        if named(&stages, &stage.base).is_some() {
            return None;
        }
        stages.push(stage);
    }
    let last = match target {
        Some(target) => target
            .parse()
            .ok()
            .filter(|at| *at < stages.len())
            .or_else(|| named(&stages, target))?,
        None => stages.len().checked_sub(1)?,
    };
    let of_the_image = &stages.get(last)?.base;
    let building = stages.iter().take(last).map(|it| it.base.clone());
    let nothing = |base: &String| base == "scratch" || base == of_the_image;
    Some(building.filter(|base| !nothing(base)).collect())
}

fn stage(from: &str) -> Option<Stage> {
    let mut words = from.split_whitespace();
    let base = words.next()?;
    if base.starts_with("--") || base.contains(['$', '@']) {
        return None;
    }
    let name = match (words.next(), words.next()) {
        (Some(word), name) if word.eq_ignore_ascii_case("as") => name.map(str::to_owned),
        _ => None,
    };
    Some(Stage {
        base: base.to_owned(),
        name,
    })
}

/// Stages have names of any case.
fn named(stages: &[Stage], name: &str) -> Option<usize> {
    let same = |it: &String| it.eq_ignore_ascii_case(name);
    stages
        .iter()
        .position(|stage| stage.name.as_ref().is_some_and(same))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(dockerfile: &str, target: Option<&str>) -> Option<Vec<String>> {
        building_bases(dockerfile, target).map(|it| it.into_iter().collect())
    }

    #[test]
    fn bases_of_stages_that_only_build() {
        let text = "FROM node:22 AS deps\nRUN npm ci\nFROM \\\n  golang AS Build\nRUN a\nFROM scratch\nFROM nginx\nCOPY --from=build /a /a\n";
        let all = || Some(vec!["golang".to_owned(), "node:22".to_owned()]);
        assert_eq!(bases(text, None), all());
        assert_eq!(bases(text, Some("build")), Some(vec!["node:22".to_owned()]));
        assert_eq!(bases(text, Some("2")), all());
        assert_eq!(bases(text, Some("0")), Some(vec![]));
        assert_eq!(bases(text, Some("nowhere")), None);
    }

    #[test]
    fn the_base_of_the_image_is_not_among_them() {
        assert_eq!(bases("FROM a AS x\nFROM a\n", None), Some(vec![]));
        assert_eq!(bases("FROM a\n", None), Some(vec![]));
        assert_eq!(bases("RUN a\n", None), None);
    }

    #[test]
    fn what_takes_more_than_reading_is_left_to_others() {
        for text in [
            "ARG V=1\nFROM node:$V AS x\nFROM nginx\n",
            "FROM --platform=linux/arm64 node AS x\nFROM nginx\n",
            "FROM node@sha256:ab AS x\nFROM nginx\n",
            "FROM node AS Base\nFROM base AS y\nFROM nginx\n",
            "FROM\nFROM nginx\n",
        ] {
            assert_eq!(bases(text, None), None, "{text}");
        }
    }
}
