//! The key file as its owner, and an attacker with the disk, meet it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest::{SHA256, digest},
};
use tr_hsm::{
    Algorithm, Attributes, Device, Error, ErrorKind, Label, Module, Secret, Usage, Vault, Version, sealed::WRAPPED_LEN,
};
use tr_hsm_software::{Header, Params, Step, Store, StoreError};

const PASSPHRASE: &[u8] = b"correct horse battery staple";
const KEY: Label = Label::literal("identity");
/// Octets of the header.
const HEADER: usize = 62;

struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("keys")
    }

    fn create(&self) -> Store {
        Store::create(self.path(), PASSPHRASE, Params::INSECURE_FOR_TESTS).unwrap()
    }

    fn open(&self) -> Result<Store, StoreError> {
        Store::open(self.path(), PASSPHRASE)
    }

    /// A store with a key of every usage, closed; its octets.
    fn filled(&self) -> Vec<u8> {
        let store = self.create();
        for usage in Usage::ALL {
            let label = Label::new(&usage.to_string()).unwrap();
            store
                .generate(label, Attributes::new(usage, usage.algorithm()))
                .unwrap();
        }
        drop(store);
        fs::read(self.path()).unwrap()
    }

    fn write(&self, octets: &[u8]) {
        fs::write(self.path(), octets).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

const fn assert_shareable<T: Send + Sync>() {}
const _: () = assert_shareable::<Store>();
const _: () = assert_shareable::<<Store as Module>::Error>();

#[test]
fn opens_again_with_every_key() {
    let home = Home::new();
    let store = home.create();
    let signer = store
        .generate(KEY, Attributes::new(Usage::Sign, Algorithm::P256))
        .unwrap();
    let public = store.public_key(signer.key_ref()).unwrap();
    let wrap = Label::literal("k-db");
    store
        .generate(wrap, Attributes::new(Usage::Wrap, Algorithm::Aes256))
        .unwrap();
    let mut clear = Secret::default();
    let mut wrapped = [0; WRAPPED_LEN];
    store.generate_data_key(wrap, b"aad", &mut clear, &mut wrapped).unwrap();
    store.rotate(wrap).unwrap();
    drop(store);

    let store = home.open().unwrap();
    assert_eq!(store.public_key(signer.key_ref()).unwrap(), public);
    store.health(signer.key_ref()).unwrap();
    let mut again = Secret::default();
    store.unwrap_data_key(wrap, b"aad", &wrapped, &mut again).unwrap();
    assert_eq!(*again, *clear);
    assert_eq!(store.info(wrap.newest()).unwrap().version.get(), 2);
}

/// Reads the file by `docs/hsm.md` alone.
#[test]
fn is_as_documented() {
    let home = Home::new();
    let params = Params::new(64, 2, 3).unwrap();
    let store = Store::create(home.path(), PASSPHRASE, params).unwrap();
    let secret = [0x11; 32];
    let attributes = Attributes::new(Usage::Agree, Algorithm::P256);
    store.import_p256(KEY, attributes, &Secret::new(secret)).unwrap();
    let file = fs::read(home.path()).unwrap();

    let header = &file[..62];
    assert_eq!(header[..10], *b"TRHSM\r\n\x1a\x01\x01");
    assert_eq!(header[10..22], [0, 0, 0, 64, 0, 0, 0, 2, 0, 0, 0, 3]);
    let (salt, nonce) = (&header[22..38], header[38..50].try_into().unwrap());
    assert_eq!(
        header[50..54],
        (u32::try_from(file.len()).unwrap() - 62 - 16).to_be_bytes()
    );
    assert_eq!(header[54..], digest(&SHA256, &header[..54]).as_ref()[..8]);

    let mut key = [0; 32];
    let costs = argon2::Params::new(64, 2, 3, Some(32)).unwrap();
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, costs)
        .hash_password_into(PASSPHRASE, salt, &mut key)
        .unwrap();
    let mut body = file[62..].to_vec();
    let body = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap())
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut body)
        .unwrap();
    let expected = [
        b"\0\x01\x08identity\0\0\0\x02\0\x01".as_slice(),
        b"\0\0\0\x01\x02\x01\0\x02",
        &secret,
    ];
    assert_eq!(body, expected.concat());
}

#[test]
fn refuses_every_flipped_octet() {
    let home = Home::new();
    let good = home.filled();
    for at in 0..good.len() {
        for bits in [0x01, 0x80] {
            let mut altered = good.clone();
            altered[at] ^= bits;
            home.write(&altered);
            let error = home.open().unwrap_err();
            match (at, &error) {
                (0..8, StoreError::NotAKeyFile)
                | (8, StoreError::UnknownVersion { .. })
                | (9..HEADER, StoreError::HeaderAltered)
                | (HEADER.., StoreError::WrongPassphraseOrAltered) => {}
                _ => panic!("octet {at}: {error}"),
            }
        }
    }
    home.write(&good);
    home.open().unwrap();
}

#[test]
fn refuses_every_truncation_and_any_addition() {
    let home = Home::new();
    let good = home.filled();
    for len in 0..good.len() {
        home.write(&good[..len]);
        match home.open() {
            Err(StoreError::NotAKeyFile) if len == 0 => {}
            Err(StoreError::Truncated { expected, found }) => {
                assert_eq!(found, len);
                let known = if len < HEADER { HEADER } else { good.len() };
                assert_eq!(expected, known);
            }
            other => panic!("{len} octets: {other:?}"),
        }
    }
    let longer = [&good[..], b"\n"].concat();
    home.write(&longer);
    let error = home.open().unwrap_err();
    assert!(matches!(error, StoreError::Trailing { .. }), "{error}");
    home.write(&vec![0; 4 << 20]);
    assert!(matches!(home.open(), Err(StoreError::NotAKeyFile)));
}

#[test]
fn a_wrong_passphrase_and_an_altered_body_look_the_same() {
    let home = Home::new();
    let good = home.filled();
    let wrong = Store::open(home.path(), b"correct horse battery stapler").unwrap_err();
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    home.write(&altered);
    let altered = home.open().unwrap_err();
    assert_eq!(wrong.to_string(), altered.to_string());
    assert!(wrong.to_string().contains("passphrase is wrong"));
    assert!(wrong.to_string().contains("altered"));
    assert_eq!(wrong.kind(), ErrorKind::AuthenticationFailed);
    assert!(matches!(
        Store::open(home.path(), b""),
        Err(StoreError::WrongPassphraseOrAltered)
    ));
}

#[test]
fn a_refused_file_is_not_changed() {
    let home = Home::new();
    let good = home.filled();
    Store::open(home.path(), b"wrong").unwrap_err();
    assert_eq!(fs::read(home.path()).unwrap(), good);
    Store::create(home.path(), PASSPHRASE, Params::INSECURE_FOR_TESTS).unwrap_err();
    assert_eq!(fs::read(home.path()).unwrap(), good);
    assert_eq!(home.names(), ["keys", "keys.lock"]);
}

#[test]
fn refuses_a_second_opener() {
    let home = Home::new();
    let first = home.create();
    let link = home.directory.path().join("link");
    symlink(home.path(), &link).unwrap();
    for path in [home.path(), link] {
        let error = Store::open(path, PASSPHRASE).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Locked);
    }
    let error = Store::create(home.path(), PASSPHRASE, Params::INSECURE_FOR_TESTS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    // Also after the file was replaced, which gives it another inode.
    first
        .generate(KEY, Attributes::new(Usage::Sign, Algorithm::P256))
        .unwrap();
    assert_eq!(home.open().unwrap_err().kind(), ErrorKind::Locked);
    drop(first);
    home.open().unwrap();
}

#[test]
fn refuses_a_second_process() {
    let home = Home::new();
    let path = home.path();
    let lock = path.with_extension("lock");
    let _first = home.create();
    // `flock` fails with status 1 when another holds the lock.
    let status = Command::new("flock")
        .args(["--nonblock", "--exclusive"])
        .arg(&lock)
        .args(["-c", "true"])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn refuses_a_file_that_others_may_read_or_write() {
    let home = Home::new();
    home.filled();
    assert_eq!(mode(&home.path()), 0o600);
    for wide in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777] {
        fs::set_permissions(home.path(), fs::Permissions::from_mode(wide)).unwrap();
        match home.open() {
            Err(error @ StoreError::PermissionsTooWide { mode }) => {
                assert_eq!(mode, wide);
                assert_eq!(error.kind(), ErrorKind::Denied);
                assert!(error.to_string().contains(&format!("{wide:04o}")));
            }
            other => panic!("{wide:o}: {other:?}"),
        }
    }
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o400)).unwrap();
    let store = home.open().unwrap();
    store
        .generate(KEY, Attributes::new(Usage::Sign, Algorithm::P256))
        .unwrap();
    assert_eq!(mode(&home.path()), 0o600);
    assert_eq!(mode(&home.path().with_extension("lock")), 0o600);
}

#[test]
fn refuses_what_is_no_file() {
    let home = Home::new();
    let missing = home.open().unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    assert!(matches!(missing, StoreError::Io { step: Step::Find, .. }));
    assert!(home.names().is_empty(), "nothing was made");

    fs::create_dir(home.path()).unwrap();
    assert!(matches!(home.open(), Err(StoreError::NotAFile { .. })));
    fs::remove_dir(home.path()).unwrap();

    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(home.path())
        .status()
        .unwrap();
    assert!(made.success());
    assert!(matches!(home.open(), Err(StoreError::NotAFile { .. })));

    let nowhere = home.directory.path().join("no/such/keys");
    let error = Store::create(nowhere, PASSPHRASE, Params::INSECURE_FOR_TESTS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    for text in ["", "/", ".."] {
        assert!(Store::create(text, PASSPHRASE, Params::INSECURE_FOR_TESTS).is_err());
    }
    let dangling = home.directory.path().join("dangling");
    symlink(home.directory.path().join("nothing"), &dangling).unwrap();
    let error = Store::create(dangling, PASSPHRASE, Params::INSECURE_FOR_TESTS).unwrap_err();
    assert!(matches!(error, StoreError::FileExists { .. }), "{error}");
}

#[test]
fn keeps_a_link_to_the_file() {
    let home = Home::new();
    home.filled();
    let link = home.directory.path().join("link");
    symlink("keys", &link).unwrap();
    let store = Store::open(&link, PASSPHRASE).unwrap();
    store.rotate(Label::literal("sign")).unwrap();
    drop(store);
    assert!(link.symlink_metadata().unwrap().file_type().is_symlink());
    let store = home.open().unwrap();
    let newest = store.info(Label::literal("sign").newest()).unwrap();
    assert_eq!(newest.version.get(), 2);
}

#[test]
fn needs_a_passphrase() {
    let home = Home::new();
    let error = Store::create(home.path(), b"", Params::INSECURE_FOR_TESTS).unwrap_err();
    assert!(matches!(error, StoreError::EmptyPassphrase), "{error}");
    assert!(home.names().is_empty());
}

#[test]
fn shows_its_cost_without_the_passphrase() {
    let home = Home::new();
    let params = Params::new(64, 2, 3).unwrap();
    drop(Store::create(home.path(), PASSPHRASE, params).unwrap());
    let header = Header::parse(&fs::read(home.path()).unwrap()).unwrap();
    assert_eq!(header.params(), params);
    home.open().unwrap();
}

#[test]
fn no_two_writes_are_alike() {
    let home = Home::new();
    let store = home.create();
    let attributes = Attributes::new(Usage::Mac, Algorithm::HmacSha256);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let made = store.generate(KEY, attributes).unwrap();
        store.destroy(KEY, made.version).unwrap();
        let octets = fs::read(home.path()).unwrap();
        assert!(seen.insert(octets[38..50].to_vec()), "a nonce came twice");
    }
}

#[test]
fn a_known_secret_shows_nowhere() {
    let home = Home::new();
    let secret: [u8; 32] = core::array::from_fn(|at| u8::try_from(at * 5 + 90).unwrap());
    let store = home.create();
    store
        .import_p256(KEY, Attributes::new(Usage::Sign, Algorithm::P256), &Secret::new(secret))
        .unwrap();
    let shown = format!("{store:?} {store:#?}");
    assert!(!shown.contains("90, 95, 100") && !shown.contains("5a5f64"));
    let debug = format!("{:?}", Store::open(home.path(), PASSPHRASE).unwrap_err());
    assert!(!debug.contains("horse"));
    drop(store);
    for name in home.names() {
        let octets = fs::read(home.directory.path().join(name)).unwrap();
        for needle in [&secret[..6], b"5a5f64", b"Wl9k", PASSPHRASE, b"identity"] {
            assert!(!octets.windows(needle.len()).any(|part| part == needle));
        }
    }
}

#[test]
fn versions_of_a_destroyed_label_go_on_after_reopening() {
    let home = Home::new();
    let store = home.create();
    let attributes = Attributes::new(Usage::Seal, Algorithm::Aes256);
    store.generate(KEY, attributes).unwrap();
    store.destroy(KEY, Version::FIRST).unwrap();
    drop(store);
    let store = home.open().unwrap();
    assert_eq!(store.generate(KEY, attributes).unwrap().version.get(), 2);
}
