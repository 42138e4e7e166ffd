//! The images that users build on and that databases run from, under the names that users
//! write, made from packages because no registry needs to be at hand.
//!
//! They are laid out as the official images are (paths, users, entry points, variables), as
//! far as anything here depends on it: what works with these works with those.

mod catalog;
mod debian;
mod input;
mod kitchen;

use std::{path::PathBuf, time::Instant};

use self::{input::Input, kitchen::Kitchen};
use crate::{
    Error, Result, cache,
    cache::Workshop,
    oci::{Digest, ImageBuilder, Layout},
};

pub use self::{
    catalog::BASE_IMAGES,
    input::{program_of_wheel, wheels},
};

/// What every recipe begins and ends with; `debian` is the recipe of what the others are
/// made in.
const PRELUDE: &str = include_str!("../recipes/prelude.sh");
const CLEANUP: &str = include_str!("../recipes/cleanup.sh");

/// Counted up when the same recipe gives another image.
const VERSION: u32 = 1;

/// An image, and how it is made.
#[derive(Debug)]
pub struct BaseImage {
    /// What it is called here.
    pub name: &'static str,
    /// Every reference that users write for it.
    pub references: &'static [&'static str],
    /// The shell script that makes it.
    recipe: &'static str,
    content: Content,
    /// What the recipe finds in `/mnt`.
    inputs: &'static [(&'static str, Input)],
    /// Environment of the recipe and of the image.
    env: &'static [(&'static str, &'static str)],
    /// Everything else that containers are to know.
    settings: fn(ImageBuilder) -> ImageBuilder,
}

/// What a recipe leaves behind for its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// A Debian of its own.
    Debian,
    /// What it changed in Debian's image.
    Changes,
    /// The folder `/out`, and nothing else.
    Out,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name that users write, for instance `docker.io/library/postgres:17`.
    pub reference: String,
    /// Its layout.
    pub layout: PathBuf,
}

/// Makes those of the images called `names` that the cache does not have, and gives all of
/// them under every reference. No names: every image.
///
/// # Errors
/// When a name is unknown, this is no Debian, the user is not root, or a package cannot
/// be had.
pub fn ensure(names: &[&str]) -> Result<Vec<Image>> {
    let wanted = select(names)?;
    let missing = |image: &&'static BaseImage| !image.layout().is_dir();
    if wanted.iter().any(missing) {
        let workshop = Workshop::enter()?;
        // Somebody else may have made them while this waited.
        let missing: Vec<_> = wanted.iter().copied().filter(missing).collect();
        let mut kitchen = Kitchen::new(&workshop);
        for image in missing {
            image.make(&mut kitchen)?;
        }
    }
    Ok(wanted
        .iter()
        .flat_map(|image| {
            image.references.iter().map(|reference| Image {
                reference: (*reference).to_owned(),
                layout: image.layout(),
            })
        })
        .collect())
}

fn select(names: &[&str]) -> Result<Vec<&'static BaseImage>> {
    if names.is_empty() {
        return Ok(BASE_IMAGES.iter().collect());
    }
    names.iter().map(|name| BaseImage::named(name)).collect()
}

impl BaseImage {
    fn named(name: &str) -> Result<&'static Self> {
        BASE_IMAGES
            .iter()
            .find(|image| image.name == name)
            .ok_or_else(|| Error::Refused(format!("there is no base image called `{name}`")))
    }

    /// Where it is, or will be: what it is made from is in the path.
    pub fn layout(&self) -> PathBuf {
        cache::layout(self.name, &self.hash())
    }

    /// The settings as an image without any content shows them.
    fn configure(&self, builder: ImageBuilder) -> ImageBuilder {
        let builder = self
            .env
            .iter()
            .fold(builder, |builder, (name, value)| builder.env(*name, *value));
        (self.settings)(builder)
    }

    fn hash(&self) -> String {
        let settings = self.configure(ImageBuilder::new());
        let below = match self.content {
            Content::Debian => String::new(),
            Content::Changes | Content::Out => catalog::DEBIAN.hash(),
        };
        let made_from = format!(
            "{VERSION} {below} {:?} {:?} {settings:?}\n{PRELUDE}{}{CLEANUP}",
            self.content, self.inputs, self.recipe
        );
        let digest = Digest::of(made_from.as_bytes());
        digest.hex().unwrap_or_default().chars().take(16).collect()
    }

    /// Writes the layout.
    fn make(&self, kitchen: &mut Kitchen<'_>) -> Result<()> {
        let layout = self.layout();
        if layout.is_dir() {
            return Ok(());
        }
        if self.content != Content::Debian {
            catalog::DEBIAN.make(kitchen)?;
        }
        println!("  image {} …", self.name);
        let start = Instant::now();
        let builder = self.configure(match self.content {
            Content::Debian => ImageBuilder::new().tree(kitchen.debian()?),
            Content::Changes => {
                let (before, after) = kitchen.cook(self)?;
                ImageBuilder::new()
                    .base(catalog::DEBIAN.layout())
                    .changes(before, after)
            }
            Content::Out => {
                let (_, after) = kitchen.cook(self)?;
                ImageBuilder::new().tree(after.join("out"))
            }
        });
        if let Some(folder) = layout.parent() {
            cache::create(folder)?;
        }
        builder.write(&layout)?;
        println!(
            "  image {}: {} MB in {:.0} s",
            self.name,
            Layout::open(&layout)?.size()? / 1_000_000,
            start.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// The whole script, from its first line to its last.
    fn script(&self) -> String {
        format!("{PRELUDE}\n{}\n{CLEANUP}", self.recipe)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_references_are_given_once() {
        let names: BTreeSet<_> = BASE_IMAGES.iter().map(|image| image.name).collect();
        assert_eq!(names.len(), BASE_IMAGES.len());
        let references: Vec<_> = BASE_IMAGES
            .iter()
            .flat_map(|image| image.references)
            .collect();
        let distinct: BTreeSet<_> = references.iter().collect();
        assert_eq!(distinct.len(), references.len());
    }

    #[test]
    fn images_are_kept_apart_by_what_they_are_made_from() {
        let hashes: BTreeSet<_> = BASE_IMAGES.iter().map(BaseImage::hash).collect();
        assert_eq!(hashes.len(), BASE_IMAGES.len());
        let image = BASE_IMAGES.first().unwrap();
        assert_eq!(image.hash(), image.hash());
        assert!(
            image
                .layout()
                .ends_with(format!("{}/{}", image.name, image.hash()))
        );
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let error = ensure(&["windows"]).unwrap_err().to_string();
        assert_eq!(error, "there is no base image called `windows`");
    }
}
