//! `kill -9` at every point of a sale where it could hurt.
//!
//! The program under test stands still at the point, the terminal loses its power while it waits, and the program is
//! killed. Then somebody asks again, in a new session.

use std::process::Stdio;

use sha2::{Digest, Sha256};
use tr_net::pos::{Pos, Settled, Task};
use tr_protocol::frame::Frame;
use tr_protocol::lifecycle::Outcome;
use tr_protocol::message::{ReversalResult, State, rule};
use tr_protocol::value::TransactionId;
use tr_terminal::memory::Memory;

use crate::world::{CREDIT, Part, Process, World, memory, online, reversal, sale, settle, status, urn, wait_for};

const AMOUNT: i64 = 12_50;

/// What the database holds of the sale when the program is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Unseen,
    Claimed,
    Decided,
}

/// A network after the crash, with everything that ran then running again.
struct Crashed {
    world: World,
    pos: Pos,
    terminal: String,
    sale: TransactionId,
    stands: Stands,
    /// The answer that the database held at the crash.
    answer: Option<Vec<u8>>,
    /// The terminal before it made its command.
    before: Memory,
    /// Balance and entries before the sale.
    books: (i64, u64),
}

async fn crash(part: Part, point: &str, stands: Stands) -> Crashed {
    let mut world = World::new();
    for each in [Part::Backend, Part::Gateway] {
        match each == part {
            true => world.start_halting(each, point),
            false => world.start(each, &[]),
        }
    }
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    let books = world.state();
    let before = memory(&till);
    let terminal = urn(&till);
    let sale = till.prepare(&world.pay(AMOUNT)).unwrap();
    tokio::select! {
        settled = till.settle() => panic!("settled, and nobody could have answered: {settled:?}"),
        () = world.halted() => {}
    }
    drop(till);
    world.kill(part);
    if part == Part::Gateway {
        world.stop(Part::Backend);
    }
    let stored = world.stored(&terminal, sale).await;
    let found = match &stored {
        None => Stands::Unseen,
        Some(stored) if stored.outcome == "claimed" => Stands::Claimed,
        Some(stored) if stored.outcome == "approved" => Stands::Decided,
        Some(other) => panic!("{other:?}"),
    };
    assert_eq!(found, stands);
    let answer = stored.and_then(|stored| stored.answer);
    assert_eq!(answer.is_some(), stands == Stands::Decided);
    world.start(Part::Backend, &[]);
    if part == Part::Gateway {
        world.start(Part::Gateway, &[]);
    }
    Crashed {
        world,
        pos,
        terminal,
        sale,
        stands,
        answer,
        before,
        books,
    }
}

impl Crashed {
    /// The same signed command, in a new session: one debit, and the answer that was stored.
    async fn retry(mut self) {
        let first = self.repeat().await;
        assert_eq!(sale(&first), (Outcome::Approved, 12_50, None));
        let second = self.repeat().await;
        assert_eq!((&first.command, &first.answer), (&second.command, &second.answer));
        self.debited();
        self.world.stop(Part::Backend);
        let stored = self.world.stored(&self.terminal, self.sale).await.unwrap();
        assert_eq!(stored.answer.as_deref(), Some(first.answer.as_bytes()));
        assert_eq!(stored.evidence.as_deref(), Some(first.command.as_bytes()));
        if let Some(answer) = &self.answer {
            assert_eq!(answer, first.answer.as_bytes());
        }
    }

    /// What is on the terminal's disk is sent, and its answer shown to nobody.
    async fn repeat(&self) -> Settled {
        let mut till = self.pos.shell().unwrap();
        assert!(till.is_pending());
        settle(&mut till).await
    }

    fn debited(&self) {
        let (balance, entries) = self.books;
        assert_eq!(self.world.state(), (balance - AMOUNT, entries + 1));
    }

    /// The cashier gives up: the reversal undoes the sale, or keeps it from ever being executed.
    async fn reverse(self) {
        let mut till = self.pos.shell().unwrap();
        let late = memory(&till);
        till.cancel().unwrap();
        let first = settle(&mut till).await;
        drop(till);
        let (balance, entries) = self.books;
        let (outcome, new_entries) = match self.stands {
            Stands::Decided => (ReversalResult::Reversed, 2),
            Stands::Unseen | Stands::Claimed => (ReversalResult::NeverExecuted, 0),
        };
        assert_eq!(reversal(&first), outcome);
        let second = self.repeat().await;
        assert_eq!((&first.command, &first.answer), (&second.command, &second.answer));
        self.arrives_late(late).await;
        assert_eq!(self.world.state(), (balance, entries + new_entries));
    }

    /// Somebody asks first: the answer holds from then on.
    async fn status(self) {
        let late = memory(&self.pos.shell().unwrap());
        let mut till = self.pos.shell_with(self.before.clone()).unwrap();
        online(&mut till).await;
        till.prepare(&Task::Status(self.sale)).unwrap();
        let told = status(&settle(&mut till).await);
        drop(till);
        match &self.answer {
            Some(answer) => {
                let signed = Frame::parse_exact(answer).unwrap();
                let digest = Sha256::digest(signed.before_signatures()).into();
                assert_eq!(told, (State::Approved, Some(12_50), Some(digest)));
            }
            None => assert_eq!(told, (State::NeverExecuted, None, None)),
        }
        self.arrives_late(late).await;
        match self.stands {
            Stands::Decided => self.debited(),
            Stands::Unseen | Stands::Claimed => assert_eq!(self.world.state(), self.books),
        }
    }

    /// The sale arrives after all: its stored answer, or a refusal for ever.
    async fn arrives_late(&self, late: Memory) {
        let mut till = self.pos.shell_with(late).unwrap();
        let settled = settle(&mut till).await;
        match &self.answer {
            Some(answer) => assert_eq!(answer, settled.answer.as_bytes()),
            None => assert_eq!(sale(&settled), (Outcome::Declined, 0, Some(rule::TOMBSTONE.to_owned()))),
        }
    }
}

macro_rules! killed {
    ($($name:ident: $part:ident at $point:literal is $stands:ident, then $next:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            crash(Part::$part, $point, Stands::$stands).await.$next().await;
        }
    )*};
}

killed! {
    backend_killed_before_the_claim_then_retry: Backend at "before-claim" is Unseen, then retry;
    backend_killed_before_the_claim_then_reversal: Backend at "before-claim" is Unseen, then reverse;
    backend_killed_before_the_claim_then_status: Backend at "before-claim" is Unseen, then status;
    backend_killed_between_claim_and_decision_then_retry: Backend at "claimed" is Claimed, then retry;
    backend_killed_between_claim_and_decision_then_reversal: Backend at "claimed" is Claimed, then reverse;
    backend_killed_between_claim_and_decision_then_status: Backend at "claimed" is Claimed, then status;
    backend_killed_after_the_decision_then_retry: Backend at "decided" is Decided, then retry;
    backend_killed_after_the_decision_then_reversal: Backend at "decided" is Decided, then reverse;
    backend_killed_after_the_decision_then_status: Backend at "decided" is Decided, then status;
    backend_killed_while_it_answers_then_retry: Backend at "answering" is Decided, then retry;
    backend_killed_while_it_answers_then_reversal: Backend at "answering" is Decided, then reverse;
    backend_killed_while_it_answers_then_status: Backend at "answering" is Decided, then status;
    gateway_killed_while_the_answer_is_on_its_way_then_retry: Gateway at "gateway-answering" is Decided, then retry;
    gateway_killed_while_the_answer_is_on_its_way_then_reversal: Gateway at "gateway-answering" is Decided, then reverse;
    gateway_killed_while_the_answer_is_on_its_way_then_status: Gateway at "gateway-answering" is Decided, then status;
}

/// A reversal is a command like a sale: done once, and answered the same for ever.
async fn reversal_survives(point: &str) {
    let mut world = World::running();
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    let (balance, entries) = world.state();
    let id = till.prepare(&world.pay(AMOUNT)).unwrap();
    settle(&mut till).await;
    till.acknowledge().unwrap();
    world.stop(Part::Backend);
    world.start_halting(Part::Backend, point);
    online(&mut till).await;
    till.prepare(&Task::Reverse(id)).unwrap();
    tokio::select! {
        settled = till.settle() => panic!("settled, and nobody could have answered: {settled:?}"),
        () = world.halted() => {}
    }
    drop(till);
    world.kill(Part::Backend);
    world.start(Part::Backend, &[]);
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut till = pos.shell().unwrap();
        let settled = settle(&mut till).await;
        assert_eq!(reversal(&settled), ReversalResult::Reversed);
        answers.push(settled.answer);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(world.state(), (balance, entries + 2));
}

#[tokio::test]
async fn backend_killed_before_the_claim_of_a_reversal_then_retry() {
    reversal_survives("before-claim").await;
}

#[tokio::test]
async fn backend_killed_while_it_answers_a_reversal_then_retry() {
    reversal_survives("answering").await;
}

#[tokio::test]
async fn gateway_killed_while_it_waits_for_the_backend_then_retry() {
    let mut world = World::running();
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    till.take_seen();
    let books = world.state();
    till.prepare(&world.pay(AMOUNT)).unwrap();
    // The backend gets no time while the gateway has passed the sale on.
    world.signal(Part::Backend, "-STOP");
    tokio::select! {
        settled = till.settle() => panic!("the backend stands: {settled:?}"),
        () = tokio::time::sleep(core::time::Duration::from_millis(300)) => {}
    }
    assert_eq!(till.take_seen().sent.len(), 1, "the sale is on its way");
    drop(till);
    world.kill(Part::Gateway);
    world.signal(Part::Backend, "-CONT");
    wait_for("the sale is decided", || world.state().1 > books.1).await;
    world.start(Part::Gateway, &[]);
    let mut till = pos.shell().unwrap();
    let settled = settle(&mut till).await;
    assert_eq!(sale(&settled), (Outcome::Approved, 12_50, None));
    assert_eq!(world.state(), (books.0 - AMOUNT, books.1 + 1));
}

#[tokio::test]
async fn gateway_killed_while_nothing_happens_then_the_next_sale_needs_no_help() {
    let mut world = World::running();
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    let books = world.state();
    world.kill(Part::Gateway);
    world.start(Part::Gateway, &[]);
    // The terminal still believes in its old connection.
    till.prepare(&world.pay(AMOUNT)).unwrap();
    let settled = settle(&mut till).await;
    assert_eq!(sale(&settled), (Outcome::Approved, 12_50, None));
    assert_eq!(world.state(), (books.0 - AMOUNT, books.1 + 1));
}

/// Starts `pos swipe` and kills it when it has stored its command.
async fn terminal_killed(world: &World) {
    let wav = world.site.path("card.wav");
    let mut command = world
        .site
        .command(&["pos", "swipe", "--wav", &wav, "--amount", "12.50"]);
    command
        .env("TR_NET_HALT_AT", "command-stored")
        .env("TR_NET_HALT_FILE", world.site.file("halted"))
        .stdout(Stdio::null());
    let process = Process::spawn(&mut command);
    world.halted().await;
    process.kill();
}

#[tokio::test]
async fn terminal_killed_after_it_stored_its_command_then_retry() {
    let world = World::running();
    let books = world.state();
    terminal_killed(&world).await;
    assert_eq!(world.state(), books, "nothing was sent");
    let ran = world.site.ok(&["pos", "retry"]);
    assert!(ran.starts_with("APPROVED 12.50 USD"), "{ran}");
    assert_eq!(world.site.ok(&["pos", "retry"]), "no command waits for an answer\n");
    assert_eq!(world.state(), (CREDIT - AMOUNT, books.1 + 1));
}

#[tokio::test]
async fn terminal_killed_after_it_stored_its_command_then_cancelled() {
    let world = World::running();
    let books = world.state();
    terminal_killed(&world).await;
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    let late = memory(&till);
    till.cancel().unwrap();
    let settled = settle(&mut till).await;
    assert_eq!(reversal(&settled), ReversalResult::NeverExecuted);
    till.acknowledge().unwrap();
    let mut till = pos.shell_with(late).unwrap();
    let settled = settle(&mut till).await;
    assert_eq!(sale(&settled), (Outcome::Declined, 0, Some(rule::TOMBSTONE.to_owned())));
    assert_eq!(world.state(), books);
}

#[tokio::test]
async fn terminal_that_lost_its_power_with_the_answer_gets_the_same_one() {
    let world = World::running();
    let books = world.state();
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    till.prepare(&world.pay(AMOUNT)).unwrap();
    let first = settle(&mut till).await;
    let receipt = std::fs::read(first.receipt.as_ref().unwrap()).unwrap();
    drop(till);
    let mut till = pos.shell().unwrap();
    let second = settle(&mut till).await;
    till.acknowledge().unwrap();
    assert_eq!((first.command, first.answer), (second.command, second.answer));
    assert_eq!(std::fs::read(second.receipt.unwrap()).unwrap(), receipt);
    assert_eq!(world.state(), (books.0 - AMOUNT, books.1 + 1));
}

#[tokio::test]
async fn living_terminal_settles_by_itself_when_the_backend_comes_back() {
    let mut world = World::new();
    world.start_halting(Part::Backend, "decided");
    world.start(Part::Gateway, &[]);
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    till.prepare(&world.pay(AMOUNT)).unwrap();
    tokio::select! {
        settled = till.settle() => panic!("settled, and nobody could have answered: {settled:?}"),
        () = world.halted() => {}
    }
    world.kill(Part::Backend);
    world.start(Part::Backend, &[]);
    // The same terminal, on the connection that it has.
    let settled = settle(&mut till).await;
    till.acknowledge().unwrap();
    assert_eq!(sale(&settled), (Outcome::Approved, 12_50, None));
    assert_eq!(world.state().0, CREDIT - AMOUNT);
}
