//! Whether a server answers with the credentials.

use crate::{Engine, Error, Options, postgres, redis};

/// One user is enough: of the other, the files may be newer than what the server was told.
pub(crate) fn run(engine: Engine, options: &Options) -> Result<(), Error> {
    let mut result = Err(Error::Credential("username".to_owned()));
    for login in options.logins()? {
        result = match engine {
            Engine::Postgres => postgres::probe(options, &login),
            Engine::Redis | Engine::Valkey => redis::probe(options, &login),
        };
        if result.is_ok() {
            break;
        }
    }
    result
}
