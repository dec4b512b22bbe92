//! The embedded store: one file ciphered by SQLCipher, one writer, group commit.
//!
//! All writing is done by one thread. It takes what waits, up to [`GROUP`] jobs, runs each in a savepoint of one
//! transaction, commits with one fsync, and only then releases the answers. A job that fails is rolled back alone.
//! Look-ups have a connection and thread of their own and never wait for the writer. The write-ahead log is moved into
//! the file by a third thread, so that a commit never waits for that.

mod books;
mod directory;
mod execute;
mod lately;
mod open;
mod rows;
#[cfg(test)]
mod tests;

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;
use tr_protocol::value::TransactionId;

use super::seal::{DataKey, Keys};
use super::{
    CardRecord, CertificateRecord, Claimed, Enrolled, Enrolment, Executed, Found, IssueCard, LedgerReport, Load,
    Loaded, NewVoucher, Pan, Party, Pending, PostingRecord, Sign, Store, StoreError, StoredTransaction, Submission,
    TerminalRecord, VoucherRecord,
};
use crate::crash;
use crate::engine::{Command, Request, Usable};
use crate::ledger::{Account, Policy};

/// The most jobs that one commit makes durable: beyond it the fsync's share of a job is small already.
pub const GROUP: usize = 128;

/// Jobs after which the log is moved into the file, so that it stays some megabytes long.
const CHECKPOINT_JOBS: u64 = 2_048;
/// Pages of the log (of 4 KiB) at which the writer itself waits for room: the checkpoints have not kept up.
const LOG_LIMIT: i64 = 65_536;
/// How often the checkpoint thread looks.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(100);

/// How to open the embedded store.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file. `-wal`, `-shm` and `.lock` files stand beside it.
    pub path: PathBuf,
    /// K_DB.
    pub key: DataKey,
    /// The programme's policy.
    pub policy: Policy,
    /// Whether to make the file where there is none.
    pub create: bool,
    /// The most octets that the file may grow to; beyond it writes fail with [`StoreError::DiskFull`].
    pub max_bytes: Option<u64>,
}

/// The embedded store. Dropping it waits for what was submitted.
#[derive(Debug)]
pub struct Sqlite {
    queues: Mutex<Option<Queues>>,
    threads: Mutex<Vec<JoinHandle<Ended>>>,
    stopping: Arc<AtomicBool>,
    lock: Mutex<Option<File>>,
    certificates: Arc<lately::Lately>,
}

/// What a thread leaves when it ends: its connection, still open. Connections that close at the same moment each take the
/// other for the one that will tidy up, and the log is left behind; so they are closed one after the other.
type Ended = Box<dyn core::any::Any + Send>;

#[derive(Debug, Clone)]
struct Queues {
    write: Sender<Box<dyn Job>>,
    read: Sender<Box<dyn Job>>,
    /// Reads of everything there is: a report must not stand before a sale's look-ups.
    report: Sender<Box<dyn Job>>,
}

/// A connection and what it takes to read and write rows.
#[derive(Debug)]
pub(super) struct Db {
    pub(super) sql: Connection,
    pub(super) keys: Arc<Keys>,
    pub(super) policy: Arc<Policy>,
    path: Arc<Path>,
}

impl Sqlite {
    /// Opens the store, or makes it where there is none and `options.create` says so.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::WrongKey`], [`StoreError::Damaged`], [`StoreError::Newer`],
    /// [`StoreError::Missing`], [`StoreError::File`], [`StoreError::DiskFull`]. The file has not been changed then.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        let open::Opened {
            writer,
            reader,
            reporter,
            checkpointer,
            lock,
        } = open::open(options)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let progress = Arc::new(Progress::default());
        let (write, write_jobs) = channel();
        let (read, read_jobs) = channel();
        let (report, report_jobs) = channel();
        let threads = vec![
            spawn("store-writer", {
                let progress = Arc::clone(&progress);
                move || {
                    write_loop(&writer, &write_jobs, &progress);
                    Box::new(writer)
                }
            })?,
            spawn("store-reader", move || {
                read_loop(&reader, &read_jobs);
                Box::new(reader)
            })?,
            spawn("store-reporter", move || {
                read_loop(&reporter, &report_jobs);
                Box::new(reporter)
            })?,
            spawn("store-checkpoint", {
                let stopping = Arc::clone(&stopping);
                move || {
                    checkpoint_loop(&checkpointer, &stopping, &progress);
                    Box::new(checkpointer)
                }
            })?,
        ];
        Ok(Self {
            queues: Mutex::new(Some(Queues { write, read, report })),
            threads: Mutex::new(threads),
            stopping,
            lock: Mutex::new(Some(lock)),
            certificates: Arc::default(),
        })
    }

    fn write<T, F>(&self, run: F) -> Pending<'static, T>
    where
        T: Send + 'static,
        F: FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    {
        self.submit(run, false, |queues| &queues.write)
    }

    fn read<T, F>(&self, run: F) -> Pending<'static, T>
    where
        T: Send + 'static,
        F: FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    {
        self.submit(run, false, |queues| &queues.read)
    }

    fn report<T, F>(&self, run: F) -> Pending<'static, T>
    where
        T: Send + 'static,
        F: FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    {
        self.submit(run, false, |queues| &queues.report)
    }

    fn submit<T, F>(&self, run: F, sale: bool, queue: fn(&Queues) -> &Sender<Box<dyn Job>>) -> Pending<'static, T>
    where
        T: Send + 'static,
        F: FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Work {
            run: Some(run),
            out: Err(StoreError::Closed),
            reply,
            sale,
        };
        let sent = held(&self.queues)
            .as_ref()
            .is_some_and(|queues| queue(queues).send(Box::new(job)).is_ok());
        Box::pin(async move {
            if sent {
                answer.await.unwrap_or(Err(StoreError::Closed))
            } else {
                Err(StoreError::Closed)
            }
        })
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        drop(held(&self.queues).take());
        for thread in held(&self.threads).drain(..).rev() {
            // A thread that panicked has dropped its jobs, whose callers were told.
            drop(thread.join());
        }
        self.certificates.clear();
        // Last: another process may open the file from here on.
        if let Some(lock) = held(&self.lock).take() {
            // Said, not left to closing: a program that this process is just starting still has the file open.
            let _ = lock.unlock();
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.stop();
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(name: &str, run: impl FnOnce() -> Ended + Send + 'static) -> Result<JoinHandle<Ended>, StoreError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|source| StoreError::File {
        path: PathBuf::new(),
        source: Arc::new(source),
    })
}

/// One piece of work, its result kept until the commit.
trait Job: Send {
    /// Does the work. On an error what it wrote is to be undone; its caller is told by [`Job::finish`].
    fn run(&mut self, db: &Db) -> Result<(), StoreError>;
    /// Whether this was an authorise, for the crash points.
    fn sale(&self) -> bool;
    /// Hands the result over, or the reason why the whole commit failed.
    fn finish(self: Box<Self>, commit: Result<(), StoreError>);
}

struct Work<T, F> {
    run: Option<F>,
    out: Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    sale: bool,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnOnce(&Db) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, db: &Db) -> Result<(), StoreError> {
        if let Some(run) = self.run.take() {
            self.out = run(db).map_err(|error| open::located(error, &db.path));
        }
        self.out.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn sale(&self) -> bool {
        self.sale
    }

    fn finish(self: Box<Self>, commit: Result<(), StoreError>) {
        // A caller that has gone needs no answer; the decision stands.
        let _ = self.reply.send(commit.and(self.out));
    }
}

/// What the writer tells the checkpoint thread, and the reverse.
#[derive(Debug, Default)]
struct Progress {
    jobs: AtomicU64,
    log_too_long: AtomicBool,
}

fn write_loop(db: &Db, jobs: &Receiver<Box<dyn Job>>, progress: &Progress) {
    let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(GROUP);
    while let Ok(first) = jobs.recv() {
        batch.push(first);
        batch.extend(jobs.try_iter().take(GROUP - 1));
        let committed = commit(db, &mut batch).map_err(|error| open::located(error, &db.path));
        if committed.is_ok() && batch.iter().any(|job| job.sale()) {
            crash::crash_point("decided");
        }
        progress
            .jobs
            .fetch_add(u64::try_from(batch.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        for job in batch.drain(..) {
            job.finish(committed.clone());
        }
        if progress.log_too_long.swap(false, Ordering::Relaxed) {
            // Readers are short; if one is in the way the next round tries again.
            let _ = open::checkpoint(&db.sql, "RESTART");
        }
    }
}

/// Runs a batch in one transaction. On an error nothing of it is durable.
fn commit(db: &Db, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    db.execute("BEGIN IMMEDIATE", [])?;
    let done = run_batch(db, batch).and_then(|()| Ok(db.execute("COMMIT", [])?));
    if done.is_err() && !db.sql.is_autocommit() {
        db.execute("ROLLBACK", [])?;
    }
    done.map(|_| ())
}

fn run_batch(db: &Db, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    for job in batch {
        db.execute("SAVEPOINT job", [])?;
        if let Err(error) = job.run(db) {
            // After some errors (no space left, for one) the engine has rolled the whole transaction back by itself.
            if db.sql.is_autocommit() {
                return Err(error);
            }
            db.execute("ROLLBACK TO job", [])?;
        }
        db.execute("RELEASE job", [])?;
    }
    Ok(())
}

fn read_loop(db: &Db, jobs: &Receiver<Box<dyn Job>>) {
    while let Ok(mut job) = jobs.recv() {
        // One snapshot for all that the job reads. Whether the job failed its own caller is told.
        let read = db.execute("BEGIN", []).map(|_| drop(job.run(db)));
        let ended = if db.sql.is_autocommit() {
            Ok(0)
        } else {
            db.execute("COMMIT", [])
        };
        let outcome = read
            .and(ended)
            .map(|_| ())
            .map_err(|error| open::located(error.into(), &db.path));
        job.finish(outcome);
    }
}

/// Moves the log into the file when it has grown, or when nothing happens.
fn checkpoint_loop(sql: &Connection, stopping: &AtomicBool, progress: &Progress) {
    let (_never, pause) = channel::<()>();
    let mut before = 0;
    while !stopping.load(Ordering::Acquire) {
        if pause.recv_timeout(CHECKPOINT_EVERY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let jobs = progress.jobs.load(Ordering::Relaxed);
        let idle = jobs > 0 && jobs == before;
        before = jobs;
        if jobs < CHECKPOINT_JOBS && !idle {
            continue;
        }
        // An error (no space left) leaves the log as it is: nothing is lost, and the next round tries again.
        if let Ok((log, moved)) = open::checkpoint(sql, "PASSIVE") {
            progress.jobs.fetch_sub(jobs, Ordering::Relaxed);
            before = 0;
            progress
                .log_too_long
                .store(log > LOG_LIMIT && moved < log, Ordering::Relaxed);
        }
    }
}

impl Db {
    /// Runs one statement, prepared once.
    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.sql.prepare_cached(sql)?.execute(params)
    }

    /// Reads at most one row.
    fn row<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        let mut statement = self.sql.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(read).transpose()
    }

    /// Reads every row.
    fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.sql.prepare_cached(sql)?.query_map(params, read)?.collect()
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(Arc::new(error))
    }
}

impl Store for Sqlite {
    fn look_up(&self, terminal: &str, command: &Command) -> Pending<'_, Found> {
        let (terminal, command) = (terminal.to_owned(), command.clone());
        self.read(move |db| execute::look_up(db, &terminal, &command))
    }

    fn claim(&self, submission: Submission) -> Pending<'_, Claimed> {
        self.write(move |db| execute::claim(db, &submission))
    }

    fn decide(&self, submission: Submission, sign: Sign) -> Pending<'_, Executed> {
        let sale = matches!(submission.command.request, Request::Authorise(_));
        self.submit(
            move |db| execute::decide(db, &submission, sign),
            sale,
            |queues| &queues.write,
        )
    }

    fn execute(&self, submission: Submission, sign: Sign) -> Pending<'_, Executed> {
        match submission.command.request {
            Request::Balance => self.read(move |db| execute::execute(db, &submission, sign)),
            Request::Authorise(_) if crash::is_set("claimed") => Box::pin(async move {
                self.claim(submission.clone()).await?;
                crash::crash_point("claimed");
                self.decide(submission, sign).await
            }),
            Request::Authorise(_) => self.submit(
                move |db| execute::execute(db, &submission, sign),
                true,
                |queues| &queues.write,
            ),
            Request::Reversal { .. } | Request::Status { .. } => {
                self.write(move |db| execute::execute(db, &submission, sign))
            }
        }
    }

    fn prune(&self, terminal: &str, below: TransactionId) -> Pending<'_, TransactionId> {
        let terminal = terminal.to_owned();
        self.write(move |db| execute::prune(db, &terminal, below))
    }

    fn stored(&self, terminal: &str, id: TransactionId) -> Pending<'_, Option<StoredTransaction>> {
        let terminal = terminal.to_owned();
        self.read(move |db| execute::stored(db, &terminal, id))
    }

    fn transactions(&self, terminal: &str, limit: usize) -> Pending<'_, Vec<StoredTransaction>> {
        let terminal = terminal.to_owned();
        self.report(move |db| execute::transactions(db, &terminal, limit))
    }

    fn register_company(&self, name: &str) -> Pending<'_, Party> {
        let name = name.to_owned();
        self.write(move |db| directory::register_party(db, Account::Company, &name))
    }

    fn register_shop(&self, name: &str) -> Pending<'_, Party> {
        let name = name.to_owned();
        self.write(move |db| directory::register_party(db, Account::Shop, &name))
    }

    fn parties(&self) -> Pending<'_, Vec<Party>> {
        self.read(directory::parties)
    }

    fn issue_card(&self, issue: IssueCard) -> Pending<'_, CardRecord> {
        self.write(move |db| directory::issue_card(db, &issue))
    }

    fn card(&self, pan: Pan) -> Pending<'_, Option<CardRecord>> {
        self.read(move |db| directory::card(db, &pan))
    }

    fn set_card_status(&self, pan: Pan, status: Usable) -> Pending<'_, CardRecord> {
        self.write(move |db| directory::set_card_status(db, &pan, status))
    }

    fn load(&self, load: Load) -> Pending<'_, Loaded> {
        self.write(move |db| books::load(db, &load))
    }

    fn register_voucher(&self, voucher: NewVoucher) -> Pending<'_, ()> {
        self.write(move |db| directory::register_voucher(db, &voucher))
    }

    fn voucher(&self, reference: &str) -> Pending<'_, Option<VoucherRecord>> {
        let reference = reference.to_owned();
        self.read(move |db| directory::voucher(db, &reference))
    }

    fn enrol(&self, enrolment: Enrolment) -> Pending<'_, Enrolled> {
        self.write(move |db| directory::enrol(db, &enrolment))
    }

    fn terminal(&self, uri: &str) -> Pending<'_, Option<TerminalRecord>> {
        let uri = uri.to_owned();
        self.read(move |db| directory::terminal(db, &uri))
    }

    fn set_terminal_status(&self, uri: &str, status: Usable) -> Pending<'_, TerminalRecord> {
        let uri = uri.to_owned();
        self.write(move |db| directory::set_terminal_status(db, &uri, status))
    }

    fn add_certificate(&self, certificate: CertificateRecord) -> Pending<'_, ()> {
        self.write(move |db| directory::add_certificate(db, &certificate))
    }

    fn certificate(&self, sha256: [u8; 32]) -> Pending<'_, Option<CertificateRecord>> {
        if let Some(record) = self.certificates.get(&sha256) {
            return Box::pin(core::future::ready(Ok(Some(record))));
        }
        let lately = Arc::clone(&self.certificates);
        self.read(move |db| {
            let record = directory::certificate(db, &sha256)?;
            record.iter().for_each(|record| lately.keep(record));
            Ok(record)
        })
    }

    fn revoke_certificate(&self, sha256: [u8; 32], at: i64) -> Pending<'_, CertificateRecord> {
        let lately = Arc::clone(&self.certificates);
        self.write(move |db| {
            lately.revoke(sha256);
            directory::revoke_certificate(db, &sha256, at)
        })
    }

    fn next_issue_number(&self) -> Pending<'_, u32> {
        self.write(directory::next_issue_number)
    }

    fn ledger(&self) -> Pending<'_, LedgerReport> {
        self.report(books::ledger)
    }

    fn postings(&self, limit: usize) -> Pending<'_, Vec<PostingRecord>> {
        self.report(move |db| books::postings(db, limit))
    }

    fn audit(&self) -> Pending<'_, Vec<String>> {
        self.report(books::audit)
    }

    fn close(&self) -> Pending<'_, ()> {
        self.stop();
        Box::pin(core::future::ready(Ok(())))
    }
}
