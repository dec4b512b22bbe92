//! Crashes at every step of replacing a file.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tr_hsm::{Attributes, Error, ErrorKind, Label, Usage, Vault};

use super::*;
use crate::{Params, Store};

const KEY: Label = Label::literal("key");
/// remove, create, write, sync, rename, sync directory
const CALLS: usize = 6;

/// The system's disk, until the countdown ends: then one call fails, half done where it can be, and in
/// a crash so do all later ones.
#[derive(Clone, Debug)]
struct Failing {
    left: Arc<AtomicUsize>,
    crash: bool,
}

impl Failing {
    fn new(crash: bool) -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(usize::MAX)),
            crash,
        }
    }

    fn call<T>(&self, done: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.left.load(Ordering::SeqCst) {
            usize::MAX => done(),
            0 => {
                if !self.crash {
                    self.left.store(usize::MAX, Ordering::SeqCst);
                }
                Err(io::ErrorKind::StorageFull.into())
            }
            left => {
                self.left.store(left - 1, Ordering::SeqCst);
                done()
            }
        }
    }
}

struct FailingFile {
    disk: Failing,
    file: Box<dyn NewFile>,
}

impl Disk for Failing {
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let file = self.call(|| Os.create(path))?;
        Ok(Box::new(FailingFile {
            disk: self.clone(),
            file,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|| Os.rename(from, to))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.call(|| Os.sync_directory(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(|| Os.remove(path))
    }
}

impl NewFile for FailingFile {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let Self { disk, file } = self;
        if disk.left.load(Ordering::SeqCst) == 0 {
            file.write(&octets[..octets.len() / 2])?;
        }
        disk.call(|| file.write(octets))
    }

    fn sync(&mut self) -> io::Result<()> {
        let Self { disk, file } = self;
        disk.call(|| file.sync())
    }
}

fn newest(store: &Store) -> u32 {
    store.info(KEY.newest()).unwrap().version.get()
}

#[test]
fn a_failure_at_any_step_leaves_the_old_or_the_new_file() {
    for crash in [false, true] {
        for step in 0..CALLS {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("keys");
            let store = Store::create(&path, b"pass", Params::INSECURE_FOR_TESTS).unwrap();
            let attributes = Attributes::new(Usage::Seal, Usage::Seal.algorithm());
            store.generate(KEY, attributes).unwrap();
            drop(store);

            let disk = Failing::new(crash);
            let left = Arc::clone(&disk.left);
            let store = Store::open_on(Box::new(disk), &path, b"pass").unwrap();
            left.store(step, Ordering::SeqCst);
            let error = store.rotate(KEY).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Full, "{error}");
            // Only the last call comes after the new file is in place.
            let expected = if step == CALLS - 1 { 2 } else { 1 };
            assert_eq!(newest(&store), expected, "in memory, step {step}");
            if !crash {
                assert!(!directory.path().join("keys.new").exists());
                store.rotate(KEY).unwrap();
            }
            drop(store);

            let store = Store::open(&path, b"pass").unwrap();
            let expected = if crash { expected } else { expected + 1 };
            assert_eq!(newest(&store), expected, "on the disk, step {step}");
            assert!(!directory.path().join("keys.new").exists());
            store.rotate(KEY).unwrap();
        }
    }
}

#[test]
fn a_failure_while_a_store_is_made_leaves_none_or_an_empty_one() {
    for step in 0..CALLS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let disk = Failing::new(true);
        disk.left.store(step, Ordering::SeqCst);
        Store::create_on(Box::new(disk), &path, b"pass", Params::INSECURE_FOR_TESTS).unwrap_err();
        if step == CALLS - 1 {
            Store::open(&path, b"pass").unwrap();
        } else {
            assert!(!path.exists());
            Store::create(&path, b"pass", Params::INSECURE_FOR_TESTS).unwrap();
        }
    }
}

/// A disk that loses power: what was not synced may be gone, in every way it can be.
#[derive(Clone, Debug, Default)]
struct Volatile(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<Content>,
    /// What a power cut cannot take.
    durable: BTreeMap<PathBuf, usize>,
    /// Changes of names since the directory was synced, in order.
    changes: Vec<Change>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    octets: Vec<u8>,
    synced: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Add(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl State {
    /// The names after the first `count` of the changes reached the disk.
    fn names(&self, count: usize) -> BTreeMap<PathBuf, usize> {
        let mut names = self.durable.clone();
        for change in &self.changes[..count] {
            match change {
                Change::Add(path, file) => {
                    names.insert(path.clone(), *file);
                }
                Change::Rename(from, to) => {
                    let file = names.remove(from).unwrap();
                    names.insert(to.clone(), file);
                }
                Change::Remove(path) => {
                    names.remove(path);
                }
            }
        }
        names
    }

    /// Everything that may stand at `path` after a power cut now.
    fn after_power_cut(&self, path: &Path) -> Vec<Option<Vec<u8>>> {
        let mut outcomes = Vec::new();
        for count in 0..=self.changes.len() {
            let Some(file) = self.names(count).get(path).copied() else {
                outcomes.push(None);
                continue;
            };
            let Content { octets, synced } = &self.files[file];
            let shortest = if *synced { octets.len() } else { 0 };
            outcomes.extend((shortest..=octets.len()).map(|len| Some(octets[..len].to_vec())));
        }
        outcomes
    }
}

struct VolatileFile(Volatile, usize);

impl Disk for Volatile {
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let mut state = self.0.lock().unwrap();
        let file = state.files.len();
        state.files.push(Content::default());
        state.changes.push(Change::Add(path.to_owned(), file));
        Ok(Box::new(VolatileFile(self.clone(), file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let change = Change::Rename(from.to_owned(), to.to_owned());
        self.0.lock().unwrap().changes.push(change);
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.durable = state.names(state.changes.len());
        state.changes.clear();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if !state.names(state.changes.len()).contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.changes.push(Change::Remove(path.to_owned()));
        Ok(())
    }
}

impl NewFile for VolatileFile {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let mut state = self.0.0.lock().unwrap();
        state.files[self.1].octets.extend_from_slice(octets);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.0.lock().unwrap().files[self.1].synced = true;
        Ok(())
    }
}

/// Passes calls on and notes, after each, whatever a power cut could leave.
#[derive(Clone, Debug)]
struct Watched {
    disk: Volatile,
    path: PathBuf,
    seen: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
}

impl Watched {
    fn note<T>(&self, result: T) -> T {
        let outcomes = self.disk.0.lock().unwrap().after_power_cut(&self.path);
        self.seen.lock().unwrap().extend(outcomes);
        result
    }
}

struct WatchedFile(Watched, Box<dyn NewFile>);

impl Disk for Watched {
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let file = self.note(self.disk.create(path))?;
        Ok(Box::new(WatchedFile(self.clone(), file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(self.disk.rename(from, to))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.note(self.disk.sync_directory(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(self.disk.remove(path))
    }
}

impl NewFile for WatchedFile {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let result = self.1.write(octets);
        self.0.note(result)
    }

    fn sync(&mut self) -> io::Result<()> {
        let result = self.1.sync();
        self.0.note(result)
    }
}

#[test]
fn a_power_cut_at_any_step_leaves_the_old_or_the_new_file() {
    let place = Place::of(Path::new("/d/keys"), Path::new("keys")).unwrap();
    let disk = Watched {
        disk: Volatile::default(),
        path: place.file.clone(),
        seen: Arc::default(),
    };
    place.replace(&disk, b"old contents").unwrap();
    let first: Vec<_> = disk.seen.lock().unwrap().drain(..).collect();
    assert!(first.contains(&None));
    assert!(first.iter().flatten().all(|octets| octets == b"old contents"));

    place.replace(&disk, b"contents, newer").unwrap();
    let second: Vec<_> = disk.seen.lock().unwrap().drain(..).flatten().collect();
    let (old, new): (Vec<_>, Vec<_>) = second.iter().partition(|octets| **octets == b"old contents");
    assert!(new.iter().all(|octets| *octets == b"contents, newer"));
    assert!(!old.is_empty() && !new.is_empty());
    // What is durable when the call returns is the new file.
    let after = disk.disk.0.lock().unwrap().after_power_cut(&place.file);
    assert_eq!(after, [Some(b"contents, newer".to_vec())]);
}
