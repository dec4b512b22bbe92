//! `kill -9` at any moment: a real process changes a store as fast as it can and dies.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use core::{ops::ControlFlow, time::Duration};
use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use tr_hsm::{Algorithm, Attributes, Label, Usage, Vault, Version};
use tr_hsm_software::{Params, Store};

const PATH: &str = "TR_HSM_CRASH_TEST_PATH";
const KEY: Label = Label::literal("key");

/// What the child does; without its variable this is no test of its own.
#[test]
fn child() {
    let Some(path) = env::var_os(PATH) else {
        return;
    };
    let store = Store::open(path, b"pass").unwrap();
    let mut out = std::io::stderr();
    loop {
        let made = store.rotate(KEY).unwrap();
        // Keeps the file small, and destroys under fire too.
        for old in versions(&store) {
            if old.get() + 8 <= made.version.get() {
                store.destroy(KEY, old).unwrap();
            }
        }
        out.write_all(format!("v{}\n", made.version).as_bytes()).unwrap();
    }
}

fn versions(store: &Store) -> Vec<Version> {
    let mut found = Vec::new();
    store
        .list(&mut |info| {
            found.push(info.version);
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

fn newest(path: &Path) -> u32 {
    let store = Store::open(path, b"pass").unwrap();
    let info = store.info(KEY.newest()).unwrap();
    // Eight, one before its predecessor went, and one more after a kill between the two.
    assert!(versions(&store).len() <= 10);
    info.version.get()
}

#[test]
fn kill_9_leaves_the_old_or_the_new_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let store = Store::create(&path, b"pass", Params::INSECURE_FOR_TESTS).unwrap();
    store
        .generate(KEY, Attributes::new(Usage::Seal, Algorithm::Aes256))
        .unwrap();
    drop(store);

    let mut last = 1;
    for round in 0..25_u64 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(PATH, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = last;
        for line in lines.by_ref().take(3) {
            told = line.unwrap().strip_prefix('v').unwrap().parse().unwrap();
        }
        thread::sleep(Duration::from_micros(round * 157 % 2000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            // The last line may be cut.
            if let Ok(version) = line.unwrap().trim_start_matches('v').parse::<u32>() {
                told = told.max(version);
            }
        }
        let found = newest(&path);
        assert!(found == told || found == told + 1, "told {told}, found {found}");
        last = found;
    }
}
