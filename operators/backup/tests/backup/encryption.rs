use std::fs;

use age::{secrecy::ExposeSecret, x25519::Identity};
use tokio::io::AsyncReadExt;
use trackbed_backup::{Destination, Encryption, Error, Key, Manifest};

use crate::{Volume, damage::sha256, draft, failing, open, random, read, reason};

const MIB: usize = 1 << 20;

/// Bytes of what is encrypted at once, with what proves them.
const CHUNK: usize = (64 << 10) + 16;

/// The text of a key, as `age-keygen` makes one.
fn secret(identity: &Identity) -> String {
    identity.to_string().expose_secret().to_owned()
}

fn key(identities: &[&Identity]) -> Key {
    let lines: Vec<_> = identities.iter().map(|it| secret(it)).collect();
    Key::parse(&lines.join("\n")).expect("a key")
}

fn encrypted(identity: &Identity) -> Volume {
    let mut volume = Volume::new();
    volume.destination = volume.destination.with_key(key(&[identity]));
    volume
}

/// Another process that reads the same volume.
fn other(volume: &Volume, identities: &[&Identity]) -> Destination {
    open(volume.folder.path()).with_key(key(identities))
}

fn stored(volume: &Volume) -> Vec<u8> {
    fs::read(volume.path("ours/daily/data.zst")).expect("data")
}

/// Where the header has its end, and a nonce behind it.
fn chunks(stored: &[u8]) -> usize {
    let line = stored.windows(5).position(|it| it == b"\n--- ");
    line.expect("a last line") + 5 + 43 + 1 + 16
}

#[tokio::test]
async fn what_is_encrypted_returns() {
    let identity = Identity::generate();
    // None, a few, as many as one chunk, and more than one request reads.
    for length in [0, 3, 64 << 10, 9 * MIB] {
        let volume = encrypted(&identity);
        let data = random(length);
        let manifest = volume.backup("daily", &data).await;
        assert_eq!(manifest.format, 2);
        let recipient = identity.to_public().to_string();
        let encryption = Encryption {
            format: "age".to_owned(),
            recipient,
        };
        assert_eq!(manifest.encryption, Some(encryption));
        let stored = stored(&volume);
        assert!(stored.starts_with(b"age-encryption.org/v1\n"));
        assert_eq!(manifest.sha256, sha256(&stored));
        assert_eq!(manifest.bytes, u64::try_from(length).expect("a length"));

        let other = other(&volume, &[&identity]);
        let found = other.manifest("ours", "daily").await.expect("a manifest");
        assert_eq!(found, manifest);
        let back = read(&other, &found).await.expect("whole data");
        assert!(back == data, "{} bytes and {length}", back.len());
        // To see that they are whole takes no key.
        let keyless = open(volume.folder.path());
        keyless.verify(&found).await.expect("whole data");
        assert_eq!(keyless.list("ours").await.expect("a list"), [found]);
    }
}

#[tokio::test]
async fn what_is_encrypted_is_read_without_us() {
    let identity = Identity::generate();
    let volume = encrypted(&identity);
    let rows = b"insert into orders values (1, 'socks');\n".repeat(MIB / 8);
    let manifest = volume.backup("daily", &rows).await;
    assert!(manifest.stored_bytes < 1 << 20);
    let stored = stored(&volume);
    assert!(!stored.windows(5).any(|it| it == b"socks"));
    let packed = age::decrypt(&identity, &stored).expect("decrypted");
    let back = zstd::decode_all(&packed[..]).expect("decompressed");
    assert!(back == rows);
}

#[tokio::test]
async fn a_key_that_was_replaced_reads_what_it_wrote() {
    let (old, new) = (Identity::generate(), Identity::generate());
    let mut volume = encrypted(&old);
    let first = volume.backup("first", b"first").await;
    volume.destination = volume.destination.with_key(key(&[&new, &old]));
    let second = volume.backup("second", b"second").await;
    let recipients = [&first, &second].map(|it| it.encryption.clone().expect("one").recipient);
    assert_eq!(
        recipients,
        [&old, &new].map(|it| it.to_public().to_string())
    );
    let data = read(&volume.destination, &first).await;
    assert_eq!(data.expect("data"), b"first");
    let data = read(&volume.destination, &second).await;
    assert_eq!(data.expect("data"), b"second");
    // It was encrypted for the first one only.
    let before = other(&volume, &[&old]);
    assert_eq!(read(&before, &second).await, Err("BackupKeyMissing"));
}

#[tokio::test]
async fn without_its_key_a_backup_says_which_one_it_needs() {
    let identity = Identity::generate();
    let volume = encrypted(&identity);
    let manifest = volume.backup("daily", b"rows").await;
    let recipient = identity.to_public().to_string();

    let none = open(volume.folder.path()).read(&manifest).await;
    let none = none.expect_err("no key");
    assert_eq!(none.reason(), "BackupKeyMissing");
    assert!(matches!(none, Error::Sealed { .. }), "{none:?}");
    assert!(none.to_string().contains(&recipient), "{none}");

    let (one, two) = (Identity::generate(), Identity::generate());
    let wrong = other(&volume, &[&one, &two]).read(&manifest).await;
    let wrong = wrong.expect_err("other keys");
    assert_eq!(wrong.reason(), "BackupKeyMissing");
    assert!(matches!(wrong, Error::WrongKey { .. }), "{wrong:?}");
    assert!(wrong.to_string().contains(&recipient), "{wrong}");
    for given in [&one, &two] {
        let given = given.to_public().to_string();
        assert!(!wrong.to_string().contains(&given), "{wrong}");
    }
}

#[tokio::test]
async fn a_backup_from_before_there_was_a_key_is_readable() {
    let volume = Volume::new();
    let manifest = volume.backup("daily", b"rows").await;
    let destination = other(&volume, &[&Identity::generate()]);
    let found = destination.manifest("ours", "daily").await;
    assert_eq!(found.expect("a manifest"), manifest);
    let data = read(&destination, &manifest).await;
    assert_eq!(data.expect("data"), b"rows");
}

/// Changes the data of a backup and makes its manifest fit, as somebody who can write to the
/// destination could, and tells what reading says.
async fn forged(change: impl FnOnce(&mut Vec<u8>)) -> &'static str {
    let identity = Identity::generate();
    let volume = encrypted(&identity);
    volume.backup("daily", &random(MIB)).await;
    let mut stored = stored(&volume);
    change(&mut stored);
    fs::write(volume.path("ours/daily/data.zst"), &stored).expect("a file");
    volume.forge("daily", |it| {
        it.stored_bytes = u64::try_from(stored.len()).expect("a length");
        it.sha256 = sha256(&stored);
    });
    let manifest = volume.destination.manifest("ours", "daily").await;
    let manifest = manifest.expect("a manifest");
    let verified = volume.destination.verify(&manifest).await;
    verified.expect("as the manifest says");
    let read = read(&volume.destination, &manifest).await;
    read.expect_err("no end")
}

#[tokio::test]
async fn encrypted_data_that_were_changed_are_refused_whatever_the_manifest_says() {
    let flip = |it: &mut Vec<u8>, at: usize| it[at] ^= 1;
    let tampered = "BackupTampered";
    // The header: its first line, the key in it, what proves it, the nonce.
    assert_eq!(forged(|it| flip(it, 0)).await, tampered);
    assert_eq!(forged(|it| flip(it, 40)).await, tampered);
    for before in [1, 18, 60, 120] {
        let at = |it: &[u8]| chunks(it) - before;
        assert_eq!(forged(|it| flip(it, at(it))).await, tampered, "{before}");
    }
    // The data.
    assert_eq!(forged(|it| flip(it, chunks(it))).await, tampered);
    assert_eq!(forged(|it| flip(it, it.len() / 2)).await, tampered);
    assert_eq!(forged(|it| flip(it, it.len() - 1)).await, tampered);
    assert_eq!(forged(|it| it.push(0)).await, tampered);
    assert_eq!(
        forged(|it| it.extend(it[chunks(it)..].to_vec())).await,
        tampered
    );
    let swap = |it: &mut Vec<u8>| {
        let at = chunks(it);
        let (first, second) = it[at..at + 2 * CHUNK].split_at_mut(CHUNK);
        first.swap_with_slice(second);
    };
    assert_eq!(forged(swap).await, tampered);
}

#[tokio::test]
async fn encrypted_data_that_are_cut_short_are_refused_whatever_the_manifest_says() {
    let tampered = "BackupTampered";
    for chunk in [0, 1, 5] {
        let cut = |it: &mut Vec<u8>| it.truncate(chunks(it) + chunk * CHUNK);
        assert_eq!(forged(cut).await, tampered, "{chunk}");
    }
    assert_eq!(forged(|it| it.truncate(it.len() - 1)).await, tampered);
    assert_eq!(forged(|it| it.truncate(chunks(it) - 1)).await, tampered);
    assert_eq!(forged(|it| it.truncate(60)).await, tampered);
    assert_eq!(forged(Vec::clear).await, tampered);
}

#[tokio::test]
async fn a_header_of_any_length_takes_no_memory() {
    let endless = |it: &mut Vec<u8>| {
        it.truncate(b"age-encryption.org/v1\n-> X25519 ".len());
        it.resize(20 * MIB, b'A');
    };
    assert_eq!(forged(endless).await, "BackupTampered");
    // Headers that are none of ours and have an end, one within what is read and one beyond.
    for (count, expected) in [(100, Ok(b"rows".to_vec())), (200, Err("BackupTampered"))] {
        let identity = Identity::generate();
        let recipient = identity.to_public();
        let recipients = std::iter::repeat_n(&recipient as &dyn age::Recipient, count);
        let encryptor = age::Encryptor::with_recipients(recipients).expect("recipients");
        let mut stored = Vec::new();
        let mut writer = encryptor.wrap_output(&mut stored).expect("a header");
        let packed = zstd::encode_all(&b"rows"[..], 3).expect("compressed");
        std::io::Write::write_all(&mut writer, &packed).expect("encrypted");
        writer.finish().expect("an end");

        let volume = encrypted(&identity);
        let mut manifest = volume.backup("daily", b"rows").await;
        fs::write(volume.path("ours/daily/data.zst"), &stored).expect("a file");
        manifest.stored_bytes = u64::try_from(stored.len()).expect("a length");
        manifest.sha256 = sha256(&stored);
        assert_eq!(
            read(&volume.destination, &manifest).await,
            expected,
            "{count}"
        );
    }
}

#[tokio::test]
async fn encrypted_data_that_were_changed_or_cut_differ_from_their_manifest() {
    let identity = Identity::generate();
    for (at, length, expected) in [
        // In the header, which is not mistaken for one of another key.
        (60, 0, "BackupTampered"),
        (MIB / 2, 0, "BackupTampered"),
        (0, 1, "BackupTruncated"),
    ] {
        let volume = encrypted(&identity);
        let manifest = volume.backup("daily", &random(MIB)).await;
        let mut stored = stored(&volume);
        stored[at] ^= 1;
        stored.truncate(stored.len() - length);
        fs::write(volume.path("ours/daily/data.zst"), &stored).expect("a file");
        let verified = volume.destination.verify(&manifest).await;
        assert_eq!(reason(verified), expected, "{at}");
        let read = read(&volume.destination, &manifest).await;
        assert_eq!(read, Err(expected), "{at}");
    }
}

#[tokio::test]
async fn encrypted_data_that_change_while_they_are_read_do_not_come_to_a_plain_end() {
    let volume = encrypted(&Identity::generate());
    let manifest = volume.backup("daily", &random(20 * MIB)).await;
    let mut reading = volume.destination.read(&manifest).await.expect("data");
    let mut first = vec![0; MIB];
    reading.read_exact(&mut first).await.expect("a beginning");
    let path = volume.path("ours/daily/data.zst");
    let file = fs::OpenOptions::new().write(true).open(path);
    file.expect("data").set_len(10 << 20).expect("it is cut");
    let error = reading.read_to_end(&mut first).await.expect_err("no end");
    let error = Error::within(&error).expect("one of ours");
    assert_eq!(error.reason(), "BackupTruncated", "{error}");
}

#[tokio::test]
async fn a_manifest_that_lies_of_the_encryption_is_found_out() {
    let (identity, another) = (Identity::generate(), Identity::generate());
    let volume = encrypted(&identity);
    let manifest = volume.backup("daily", &random(MIB)).await;
    let lying = |change: fn(&mut Manifest)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        manifest
    };
    let plain = lying(|it| it.encryption = None);
    let tampered = Err("BackupTampered");
    assert_eq!(read(&volume.destination, &plain).await, tampered);
    // Another recipient keeps nobody who has the key from the data.
    let mut named = manifest.clone();
    named.encryption.as_mut().expect("one").recipient = another.to_public().to_string();
    assert!(read(&volume.destination, &named).await.is_ok());
    // The key that it names is there, and the data are encrypted for another one.
    let destination = other(&volume, &[&another]);
    assert_eq!(read(&destination, &named).await, tampered);
    // A manifest that no destination read may hold anything.
    let hostile = lying(|it| it.encryption.as_mut().expect("one").recipient = "\n".repeat(9000));
    let error = destination.read(&hostile).await.expect_err("another key");
    assert_eq!(error.reason(), "BackupKeyMissing");
    assert!(error.to_string().len() < 500, "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");

    let volume = Volume::new();
    let mut wrong = volume.backup("daily", &random(MIB)).await;
    wrong.encryption = manifest.encryption;
    let destination = other(&volume, &[&identity]);
    assert_eq!(read(&destination, &wrong).await, tampered);
}

#[tokio::test]
async fn of_a_source_that_fails_nothing_encrypted_is_left() {
    let volume = encrypted(&Identity::generate());
    let written = volume
        .destination
        .write(draft("daily"), failing(random(MIB)));
    assert_eq!(reason(written.await), "BackupFailed");
    assert_eq!(volume.files(), Vec::<String>::new());
}
