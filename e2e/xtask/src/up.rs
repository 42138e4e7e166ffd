//! `up` and `down`.

use std::{fs, thread};

use clap::Args;
use cluster::{
    Client, Name, Paths, addons,
    daemon::{self, Life},
    debian, spoken, tools,
};

use crate::{
    error::{Doing, Error, Result},
    example, interrupt,
    operator::{self, Profile},
    step::step,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Use a cluster of your own: a context of your kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The operator's image that your own cluster pulls
    #[arg(long, value_name = "REF", requires = "context")]
    image: Option<String>,
    /// Leave out the example application
    #[arg(long)]
    bare: bool,
}

impl Options {
    /// Our own cluster, with Trackbed and nothing else.
    pub(crate) fn bare() -> Self {
        Self {
            context: None,
            image: None,
            bare: true,
        }
    }
}

pub(crate) fn up(name: Name, options: &Options) -> Result<()> {
    let begun = std::time::Instant::now();
    if let Some(context) = &options.context {
        let client = Client::context(context);
        operator::install(
            &client,
            &operator::Values::elsewhere(options.image.as_deref()),
        )?;
        if !options.bare {
            let url = example::elsewhere(&client)?;
            println!("\nThe example is at {url}.");
        }
        return Ok(());
    }
    interrupt::watch()?;
    start(name, Life::Long)?;
    interrupt::disown(name);
    install_operator(name, Profile::Release)?;
    if options.bare || !operator::exists() {
        println!("\nThe cluster is up ({}).", spoken(begun.elapsed()));
    } else {
        let url = example::here(name)?;
        println!("\n{url} answers ({}).", spoken(begun.elapsed()));
    }
    println!(
        "kubeconfig: {}\n\nTry next:\n  cargo xtask kubectl get trackbed -A\n  cargo xtask publish DIR\n  cargo xtask status",
        Paths::of(name).kubeconfig().display()
    );
    Ok(())
}

/// From whatever there is to a cluster that runs Pods, without Trackbed.
pub(crate) fn start(name: Name, life: Life) -> Result<()> {
    debian::check_machine()?;
    step("Debian packages", || {
        Ok(debian::install(&debian::of(name))?)
    })?;
    step("programs and base images", || {
        thread::scope(|scope| {
            // They mostly wait for downloads and disks, the compiler does not.
            let images = scope.spawn(|| images::base::ensure(&[]));
            tools::build(&tools::of(name))?;
            match images.join() {
                Ok(made) => made?,
                Err(_) => return Err(Error::Failed("making base images panicked".to_owned())),
            };
            Ok(())
        })
    })?;
    let running = daemon::Identity::find(name).is_some();
    if !running {
        interrupt::own(name);
    }
    step("Kubernetes", || {
        daemon::start(name, life)?;
        Ok(cluster::wait_for_api(name)?)
    })?;
    step("images", || {
        addons::push_images(name)?;
        operator::push_base_images(name)
    })?;
    step("node and add-ons", || {
        cluster::wait_for_node(name)?;
        Ok(addons::install(name)?)
    })
}

/// Builds Trackbed and installs it on our cluster `name`.
pub(crate) fn install_operator(name: Name, profile: Profile) -> Result<()> {
    if !operator::exists() {
        println!("• there is no chart yet: the cluster is without Trackbed");
        return Ok(());
    }
    let values = step("operator", || operator::build(name, profile))?;
    step("chart", || operator::install(&Client::of(name), &values))
}

pub(crate) fn down(name: Name, purge: bool) -> Result<()> {
    let ran = daemon::stop(name)?;
    let left = cluster::leftovers(name)?;
    if !left.is_empty() {
        return Err(Error::Failed(format!(
            "the cluster {name} is down, but this is left of it:\n  {}",
            left.join("\n  ")
        )));
    }
    println!(
        "the cluster {name} {}",
        if ran { "is down" } else { "was not running" }
    );
    if purge {
        let others = Name::ALL
            .into_iter()
            .filter(|other| *other != name)
            .find(|other| daemon::Identity::find(*other).is_some());
        // What another cluster runs from is not taken away from under it.
        let folder = match others {
            None => cluster::cache(),
            Some(_) => Paths::of(name).root().to_owned(),
        };
        if folder.exists() {
            fs::remove_dir_all(&folder).doing(|| format!("removing {}", folder.display()))?;
        }
        println!("removed {}", folder.display());
    }
    Ok(())
}
