//! Whether a server answers with the credentials.

use crate::{Engine, Error, Options, postgres, redis};

pub(crate) fn run(engine: Engine, options: &Options) -> Result<(), Error> {
    match engine {
        Engine::Postgres => postgres::probe(options),
        Engine::Redis => redis::probe(options),
    }
}
