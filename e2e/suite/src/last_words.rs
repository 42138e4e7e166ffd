//! What a failing test said, for the end of a run's output: in the middle of it, between what the
//! other tests print, nobody finds it.

use std::{
    env,
    ffi::OsString,
    fs,
    panic::{self, PanicHookInfo},
    path::Path,
    sync::Once,
    thread,
};

/// From now on the first panic of each test is saved in `TRACKBED_E2E_FAILURES`, in a file of the
/// test's name below `said`.
pub(crate) fn keep() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let Some(folder) = env::var_os("TRACKBED_E2E_FAILURES") else {
            return;
        };
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if let Err(error) = save(&folder, panic) {
                eprintln!("what the test said is not saved: {error}");
            }
            tell(panic);
        }));
    });
}

fn save(folder: &OsString, panic: &PanicHookInfo<'_>) -> std::io::Result<()> {
    // Tests' threads have their names. Those that a test starts have none, and their ends are
    // told by the test that waits for them.
    let thread = thread::current();
    let Some(test) = thread.name() else {
        return Ok(());
    };
    let folder = Path::new(folder).join("said");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{test}.txt"));
    if file.exists() {
        return Ok(());
    }
    let message = panic.payload_as_str().unwrap_or("no words");
    let place = panic.location().map(ToString::to_string);
    fs::write(file, format!("{}\n{message}\n", place.unwrap_or_default()))
}
