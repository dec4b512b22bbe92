//! Putting a file in another's place so that a crash at any moment leaves one of the two, whole.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::{Step, StoreError};

/// Readable and writable by the owner, by nobody else.
const OWNER_ONLY: u32 = 0o600;

/// The calls that replacing a file makes, so that tests can fail each of them.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Makes a file that did not exist, open to its owner only.
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
}

pub(crate) trait NewFile {
    fn write(&mut self, octets: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

/// The operating system's file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Os;

impl Disk for Os {
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(OWNER_ONLY)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

impl NewFile for File {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.write_all(octets)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Where a store lies: the file, its directory, and the two names beside it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    directory: PathBuf,
    fresh: PathBuf,
    lock: PathBuf,
}

/// The lock of a key file, held.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Said, not left to closing: a program that this process is just starting still has the file open.
        // Closing gives the lock back as well, if this fails.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Place {
    /// Follows links, so that two names of one file share one lock and the link survives.
    pub(crate) fn of_existing(path: &Path) -> Result<Self, StoreError> {
        let file = fs::canonicalize(path).map_err(io_error(Step::Find, path))?;
        Self::of(&file, path)
    }

    pub(crate) fn of_new(path: &Path) -> Result<Self, StoreError> {
        let directory = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => {
                return Err(StoreError::NotAFile { path: path.to_owned() });
            }
        };
        let directory = fs::canonicalize(directory).map_err(io_error(Step::Find, directory))?;
        let name = path
            .file_name()
            .ok_or_else(|| StoreError::NotAFile { path: path.to_owned() })?;
        Self::of(&directory.join(name), path)
    }

    fn of(file: &Path, given: &Path) -> Result<Self, StoreError> {
        let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else {
            return Err(StoreError::NotAFile { path: given.to_owned() });
        };
        let beside = |suffix: &str| {
            let mut name = OsString::from(name);
            name.push(suffix);
            directory.join(name)
        };
        Ok(Self {
            file: file.to_owned(),
            directory: directory.to_owned(),
            fresh: beside(".new"),
            lock: beside(".lock"),
        })
    }

    /// Takes the advisory lock. The system gives it back when the process dies.
    pub(crate) fn lock(&self) -> Result<Lock, StoreError> {
        let failed = io_error(Step::Lock, &self.lock);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(OWNER_ONLY)
            .open(&self.lock)
            .map_err(&failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse {
                lock: self.lock.clone(),
            }),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// Reads the file: a regular one, of its owner only, of `most` octets at most.
    pub(crate) fn read(&self, most: usize) -> Result<Vec<u8>, StoreError> {
        let failed = io_error(Step::Read, &self.file);
        // Opening a pipe would wait for its other end.
        if !fs::metadata(&self.file).map_err(&failed)?.is_file() {
            return Err(StoreError::NotAFile {
                path: self.file.clone(),
            });
        }
        let file = File::open(&self.file).map_err(&failed)?;
        let mode = file.metadata().map_err(&failed)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(StoreError::PermissionsTooWide { mode });
        }
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        let mut octets = Vec::new();
        file.take(limit).read_to_end(&mut octets).map_err(&failed)?;
        Ok(octets)
    }

    /// Removes what a crash may have left beside the file. It is encrypted, so only tidiness is at stake.
    pub(crate) fn tidy(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        match disk.remove(&self.fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(Step::Create, &self.fresh)(error)),
            _ => Ok(()),
        }
    }

    /// Puts a file of `octets` in the old one's place. After an error in any step but
    /// [`Step::SyncDirectory`] the old file stands.
    pub(crate) fn replace(&self, disk: &dyn Disk, octets: &[u8]) -> Result<(), StoreError> {
        self.tidy(disk)?;
        let written = self.write_fresh(disk, octets);
        if let Err(error) = written {
            // The first error is the one to tell; what is left behind is tidied up at the next change.
            let _ = disk.remove(&self.fresh);
            return Err(error);
        }
        disk.sync_directory(&self.directory)
            .map_err(io_error(Step::SyncDirectory, &self.file))
    }

    fn write_fresh(&self, disk: &dyn Disk, octets: &[u8]) -> Result<(), StoreError> {
        let failed = |step| io_error(step, &self.fresh);
        let mut file = disk.create(&self.fresh).map_err(failed(Step::Create))?;
        file.write(octets).map_err(failed(Step::Write))?;
        file.sync().map_err(failed(Step::Sync))?;
        drop(file);
        disk.rename(&self.fresh, &self.file).map_err(failed(Step::Rename))
    }
}

fn io_error(step: Step, path: &Path) -> impl Fn(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Io {
        step,
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests;
