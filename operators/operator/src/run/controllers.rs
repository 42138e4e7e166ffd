//! Which controllers there are.

use std::{fmt, sync::Arc};

use clap::ValueEnum;
use futures::future::BoxFuture;
use trackbed_kit::{Caches, Context};

macro_rules! controllers {
    ($($(#[$doc:meta])* $name:ident => $start:path),+ $(,)?) => {
        /// A controller.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        pub(super) enum Name { $($(#[$doc])* $name),+ }

        impl Name {
            /// All of them.
            pub(super) const ALL: [Name; [$(stringify!($name)),+].len()] = [$(Name::$name),+];

            /// Asks for its caches and gives what runs it until `stop`.
            pub(super) fn start(
                self,
                context: Arc<Context>,
                caches: &mut Caches,
                stop: impl Future<Output = ()> + Send + Sync + 'static,
            ) -> BoxFuture<'static, ()> {
                match self { $(Name::$name => $start(context, caches, stop)),+ }
            }
        }
    };
}

controllers! {
    /// Namespaces, quotas, isolation
    Project => trackbed_project::start,
    /// Sources, Builds, releases
    Service => trackbed_service::start,
    /// Jobs that make images
    Build => trackbed_build::start,
    /// Workloads and routes
    Deployment => trackbed_deployment::start,
    /// Postgres, Redis and Valkey
    Database => trackbed_database::start,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_possible_value() {
            Some(value) => f.write_str(value.get_name()),
            None => Ok(()),
        }
    }
}
