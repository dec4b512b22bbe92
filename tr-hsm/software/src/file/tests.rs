//! Hostile bodies, which need the passphrase, and secrets in what is written.

#![allow(clippy::arithmetic_side_effects, reason = "the offsets are this file's own")]

use proptest::prelude::*;

use super::*;

fn keys() -> Keys {
    let mut keys = Keys::default();
    for usage in Usage::ALL {
        let label = Label::new(&format!("for.{usage}")).unwrap();
        let attributes = Attributes::new(usage, usage.algorithm());
        keys.add(label, Key::generate(attributes).unwrap()).unwrap();
        keys.rotate(label).unwrap();
    }
    let gone = Label::literal("gone");
    let attributes = Attributes::new(Usage::Mac, Algorithm::HmacSha256);
    let info = keys.add(gone, Key::generate(attributes).unwrap()).unwrap();
    keys.destroy(gone, info.version).unwrap();
    keys
}

fn sealed(keys: &Keys) -> Vec<u8> {
    let params = Params::INSECURE_FOR_TESTS;
    let salt = [7; SALT_LEN];
    let key = aead::key(&params.derive(b"pass", &salt).unwrap()).unwrap();
    seal(keys, params, salt, &key).unwrap()
}

/// A header with another value at `at`, and its checksum made right.
fn patched(file: &[u8], at: usize, octets: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file[at..at + octets.len()].copy_from_slice(octets);
    let sum = checksum(&file[..HEADER_LEN - CHECKSUM_LEN]);
    file[HEADER_LEN - CHECKSUM_LEN..HEADER_LEN].copy_from_slice(&sum);
    file
}

#[test]
fn keeps_everything() {
    let keys = keys();
    let (header, _, again) = open(&sealed(&keys), b"pass").unwrap();
    assert_eq!(header.params(), Params::INSECURE_FOR_TESTS);
    assert_eq!(*encode_body(&keys).unwrap(), *encode_body(&again).unwrap());
    assert!(keys.iter().eq(again.iter()));
    // The label without keys kept its counter.
    assert_eq!(again.labels[&Label::literal("gone")].next, Version::new(2));
}

#[test]
fn hides_every_secret() {
    let keys = keys();
    let file = sealed(&keys);
    let shown = format!("{keys:?} {:?}", open(&file, b"pass").unwrap());
    for key in keys.labels.values().flat_map(|entry| entry.keys.values()) {
        let secret = key.secret.as_slice();
        let part = &secret[..8];
        assert!(!file.windows(8).any(|octets| octets == part));
        let hex: String = part.iter().map(|octet| format!("{octet:02x}")).collect();
        assert!(!shown.to_lowercase().contains(&hex));
        assert!(!shown.contains(format!("{part:?}").trim_matches(['[', ']'])));
        assert!(!shown.contains(format!("{part:x?}").trim_matches(['[', ']'])));
    }
    assert!(!file.windows(3).any(|octets| octets == b"for"), "labels");
}

#[test]
fn refuses_costs_of_a_hostile_header_before_paying_them() {
    let file = sealed(&keys());
    let most = Params::MAX_MEMORY_KIB + 1;
    for (at, value) in [
        (10, most),
        (10, u32::MAX),
        (10, 0),
        (14, 0),
        (14, u32::MAX),
        (18, 0),
        (18, u32::MAX),
    ] {
        let file = patched(&file, at, &value.to_be_bytes());
        let error = open(&file, b"pass").unwrap_err();
        assert!(matches!(error, StoreError::KdfLimit { .. }), "{error}");
    }
    let other = patched(&file, 9, &[2]);
    assert!(matches!(
        open(&other, b"pass"),
        Err(StoreError::UnknownKdf { found: 2 })
    ));
}

#[test]
fn authenticates_the_header() {
    let file = sealed(&keys());
    // Salt and nonce go into the decryption anyway; a cheaper cost, too. The checksum does not save them.
    for at in [9 + 4, 22, 38] {
        let other = file[at] ^ 1;
        let result = open(&patched(&file, at, &[other]), b"pass");
        assert!(
            matches!(result, Err(StoreError::WrongPassphraseOrAltered)),
            "{at}: {result:?}"
        );
    }
}

#[test]
fn refuses_bodies_that_break_a_rule() {
    let good = encode_body(&keys()).unwrap().to_vec();
    decode_body(&good).unwrap();
    let rule_of = |body: &[u8]| match decode_body(body) {
        Err(StoreError::Body { rule, .. }) => rule,
        other => panic!("{other:?}"),
    };
    for len in 0..good.len() {
        assert_eq!(rule_of(&good[..len]), "the contents end too early");
    }
    assert_eq!(rule_of(&[&good[..], &[0]].concat()), "octets after the last key");
    let mut entry = vec![1, b'a', 0, 0, 0, 3, 0, 2];
    let key = |version: u8| {
        let mut key = vec![0, 0, 0, version, 5, 3, 0, 1];
        key.extend([9; SECRET_LEN]);
        key
    };
    let body = |entries: &[&[u8]]| {
        let count = u8::try_from(entries.len()).unwrap();
        [&[0, count], &entries.concat()[..]].concat()
    };
    entry.extend([key(1), key(2)].concat());
    decode_body(&body(&[&entry])).unwrap();
    assert_eq!(rule_of(&body(&[&entry, &entry])), "labels must ascend");

    let with = |at: usize, octet: u8| {
        let mut entry = entry.clone();
        entry[at] = octet;
        rule_of(&body(&[&entry]))
    };
    assert_eq!(with(1, b'-'), "a label breaks its rule");
    assert_eq!(with(5, 2), "a version is not below the next one");
    assert_eq!(with(11, 0), "versions begin at 1");
    assert_eq!(with(11, 2), "versions must ascend");
    for at in 12..16 {
        assert_eq!(with(at, 9), "unknown attributes");
    }
    assert_eq!(with(13, 2), "no such key");

    let mut zero = entry.clone();
    zero[12..14].copy_from_slice(&[1, 1]);
    zero[16..48].fill(0);
    assert_eq!(rule_of(&body(&[&zero])), "no such key");
}

#[test]
fn says_when_it_is_full() {
    let mut keys = Keys::default();
    let attributes = Attributes::new(Usage::Mac, Algorithm::HmacSha256);
    let key = Arc::new(Key::generate(attributes).unwrap());
    let versions = (1..=30_000).map(|number| (Version::new(number).unwrap(), Arc::clone(&key)));
    let entry = Entry {
        next: Version::new(30_001),
        keys: versions.collect(),
    };
    keys.labels.insert(Label::literal("a"), entry);
    assert!(matches!(encode_body(&keys), Err(StoreError::Full { .. })));
}

#[test]
fn never_gives_a_version_number_twice() {
    let label = Label::literal("a");
    let attributes = Attributes::new(Usage::Mac, Algorithm::HmacSha256);
    let mut keys = Keys::default();
    let add = |keys: &mut Keys| keys.add(label, Key::generate(attributes).unwrap());
    assert_eq!(add(&mut keys).unwrap().version, Version::FIRST);
    keys.destroy(label, Version::FIRST).unwrap();
    assert_eq!(add(&mut keys).unwrap().version.get(), 2);
    // After the last number there is none.
    keys.labels.get_mut(&label).unwrap().next = Version::new(u32::MAX);
    assert_eq!(keys.rotate(label).unwrap().version.get(), u32::MAX);
    assert!(matches!(keys.rotate(label), Err(StoreError::Full { .. })));
    let (_, _, keys) = open(&sealed(&keys), b"pass").unwrap();
    assert_eq!(keys.labels[&label].next, None);
}

proptest! {
    #[test]
    fn reads_any_body_without_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_body(&octets);
    }

    #[test]
    fn reads_any_header_without_panic(octets in prop::collection::vec(any::<u8>(), HEADER_LEN..200)) {
        let mut file = octets;
        file[..10].copy_from_slice(b"TRHSM\r\n\x1a\x01\x01");
        let _ = Header::parse(&patched(&file, 0, b"T"));
    }

    #[test]
    fn round_trips(
        names in prop::collection::btree_map("[a-z0-9][a-z0-9._-]{0,31}", (0_usize..6, 0_usize..4), 0..6)
    ) {
        let mut keys = Keys::default();
        for (name, (usage, rotations)) in names {
            let label = Label::new(&name).unwrap();
            let usage = Usage::ALL[usage];
            let attributes = Attributes::new(usage, usage.algorithm());
            keys.add(label, Key::generate(attributes).unwrap()).unwrap();
            for _ in 0..rotations {
                keys.rotate(label).unwrap();
            }
        }
        let body = encode_body(&keys).unwrap();
        let again = decode_body(&body).unwrap();
        prop_assert_eq!(&*body, &*encode_body(&again).unwrap());
    }
}
