//! What is said twice, late, in another order, or by two at once.

use std::fs;
use std::process::Stdio;

use tr_net::pos::{Shell, Task};
use tr_protocol::lifecycle::Outcome;
use tr_protocol::message::{ReversalResult, State, rule};
use tr_protocol::value::TransactionId;

use crate::site::{PASSPHRASE, Ran};
use crate::world::{
    CREDIT, Card, Part, Process, World, balance, error, memory, online, pending, reversal, sale, set_number, settle,
    status, urn,
};

const DAY: u64 = 86_400;

fn pay(card: &Card, amount: i64, partial: bool) -> Task<'_> {
    Task::Pay {
        amount,
        partial,
        track: &card.track2,
    }
}

fn of(account: &Card, world: &World) -> i64 {
    let books = world.books();
    assert!(books.sum == 0 && books.findings.is_empty(), "{books:?}");
    balance(&books, &account.account)
}

#[tokio::test]
async fn repeat_gets_its_stored_answer_though_the_account_has_been_emptied() {
    let world = World::running();
    let card = world.card("10.00");
    let (one, two) = (world.pos("pos"), world.second_pos());
    let mut till = one.shell().unwrap();
    online(&mut till).await;
    till.prepare(&pay(&card, 4_00, false)).unwrap();
    let first = settle(&mut till).await;
    assert_eq!(sale(&first), (Outcome::Approved, 4_00, None));
    drop(till);

    let mut other = two.shell().unwrap();
    online(&mut other).await;
    other.prepare(&pay(&card, 6_00, false)).unwrap();
    assert_eq!(sale(&settle(&mut other).await), (Outcome::Approved, 6_00, None));
    other.acknowledge().unwrap();
    assert_eq!(of(&card, &world), 0);

    let mut till = one.shell().unwrap();
    let second = settle(&mut till).await;
    assert_eq!((&first.command, &first.answer), (&second.command, &second.answer));
    till.acknowledge().unwrap();
    // It is the repeat that is answered so, and not every sale.
    till.prepare(&pay(&card, 4_00, false)).unwrap();
    let (outcome, _, because) = sale(&settle(&mut till).await);
    assert_eq!((outcome, because.as_deref()), (Outcome::Declined, Some(rule::BALANCE)));
    assert_eq!(of(&card, &world), 0);
}

/// Runs the program `days` later.
fn later(world: &World, days: u64, arguments: &[&str]) -> Ran {
    let mut command = world.site.command(arguments);
    command.env("TR_NET_TEST_CLOCK", (days * DAY).to_string());
    Ran::from(command.output().unwrap())
}

/// Starts the servers anew, `days` later.
fn restart(world: &mut World, days: u64) {
    let clock = (days * DAY).to_string();
    for part in [Part::Backend, Part::Gateway] {
        world.start(part, &[("TR_NET_TEST_CLOCK", &clock)]);
    }
}

#[tokio::test]
async fn expired_certificate_opens_a_limited_session_for_repeats_and_queries_only() {
    let mut world = World::new();
    // The terminals of this network are certified for two days; thirty days of grace follow.
    set_number(&world.site.file("data/tr-net.toml"), "device_days", 2);
    world.start(Part::Backend, &[]);
    world.start(Part::Gateway, &[]);
    world.site.enrol("pos2", &world.site.facts.voucher);
    let pos2 = world.site.path("pos2");
    world.stop(Part::Gateway);
    world.start_halting(Part::Gateway, "gateway-answering");

    // A sale is decided, and its answer never arrives.
    let wav = world.site.path("card.wav");
    let swipe = ["pos", "swipe", "--pos", &pos2, "--wav", &wav, "--amount", "12.50"];
    let till = Process::spawn(world.site.command(&swipe).stdout(Stdio::null()).stderr(Stdio::null()));
    world.halted().await;
    till.kill();
    world.kill(Part::Gateway);
    world.stop(Part::Backend);
    let pos = world.pos("pos2");
    let (terminal, id) = {
        let shell = pos.shell().unwrap();
        (urn(&shell), TransactionId::new(2).unwrap())
    };
    drop(pos);
    let stored = world.stored(&terminal, id).await.unwrap();
    let answer = String::from_utf8(stored.answer.unwrap()).unwrap();

    // Three days later the certificate has expired.
    restart(&mut world, 3);
    let at = ["--pos", &pos2];
    let limited = |arguments: &[&str]| later(&world, 3, &[arguments, &at].concat());
    let ran = limited(&["pos", "retry"]);
    assert!(ran.code == 0 && ran.out.starts_with("APPROVED 12.50 USD"), "{ran:?}");
    let receipt = fs::read_to_string(world.site.file("pos2/receipts/2.receipt")).unwrap();
    assert!(receipt.contains(&answer), "{receipt} has another answer than {answer}");
    let books = world.state();
    assert_eq!(books.0, CREDIT - 12_50);

    let ran = limited(&["pos", "swipe", "--wav", &wav, "--amount", "1.00"]);
    assert!(ran.code == 3 && ran.out.contains("limited-session"), "{ran:?}");
    let ran = limited(&["pos", "reverse", "--id", "2"]);
    assert!(ran.code == 3 && ran.out.contains("limited-session"), "{ran:?}");
    let ran = limited(&["pos", "status", "--id", "2"]);
    assert!(ran.code == 0 && ran.out.contains("APPROVED: 12.50 USD"), "{ran:?}");
    assert_eq!(world.state(), books);

    // Without grace there is no session at all.
    world.stop(Part::Gateway);
    world.stop(Part::Backend);
    restart(&mut world, 33);
    let ran = later(&world, 33, &["pos", "status", "--id", "2", "--pos", &pos2]);
    assert!(ran.code == 1 && ran.err.contains("the handshake failed"), "{ran:?}");
    assert_eq!(world.state(), books);
}

#[tokio::test]
async fn changed_repeat_under_the_same_id_is_an_error_of_its_own() {
    let world = World::running();
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    let before = memory(&till);
    online(&mut till).await;
    let id = till.prepare(&world.pay(4_00)).unwrap();
    let first = settle(&mut till).await;
    let sold = memory(&till);
    drop(till);
    let books = world.state();

    // The same counter, another amount: what a cloned or tampered terminal would send.
    let mut clone = pos.shell_with(before).unwrap();
    online(&mut clone).await;
    assert_eq!(clone.prepare(&world.pay(9_00)).unwrap(), id);
    let changed = settle(&mut clone).await;
    assert_eq!(error(&changed), "changed-repeat");
    drop(clone);
    assert_eq!(world.state(), books);

    let mut till = pos.shell_with(sold).unwrap();
    let again = settle(&mut till).await;
    assert_eq!((first.command, first.answer), (again.command, again.answer));
    assert_eq!(world.state(), books);
}

#[tokio::test]
async fn reversal_before_its_sale_tombstones_the_id() {
    let world = World::running();
    let books = world.state();
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    till.prepare(&world.pay(4_00)).unwrap();
    let late = memory(&till);
    till.cancel().unwrap();
    assert_eq!(reversal(&settle(&mut till).await), ReversalResult::NeverExecuted);
    drop(till);
    let mut refusals = Vec::new();
    for _ in 0..2 {
        let mut till = pos.shell_with(late.clone()).unwrap();
        let refused = settle(&mut till).await;
        let because = Some(rule::TOMBSTONE.to_owned());
        assert_eq!(sale(&refused), (Outcome::Declined, 0, because));
        refusals.push(refused.answer);
    }
    assert_eq!(refusals[0], refusals[1]);
    assert_eq!(world.state(), books);
}

#[tokio::test]
async fn second_reversal_has_no_second_effect() {
    let world = World::running();
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    let (start, entries) = world.state();
    let id = till.prepare(&world.pay(4_00)).unwrap();
    settle(&mut till).await;
    till.acknowledge().unwrap();
    assert_eq!(world.state(), (start - 4_00, entries + 1));
    for outcome in [ReversalResult::Reversed, ReversalResult::AlreadyReversed] {
        till.prepare(&Task::Reverse(id)).unwrap();
        assert_eq!(reversal(&settle(&mut till).await), outcome);
        till.acknowledge().unwrap();
        assert_eq!(world.state(), (start, entries + 2));
    }
    till.prepare(&Task::Status(id)).unwrap();
    assert_eq!(status(&settle(&mut till).await).0, State::Reversed);
}

#[tokio::test]
async fn status_of_an_unseen_id_tombstones_it() {
    let world = World::running();
    let books = world.state();
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    let before = memory(&till);
    let id = till.prepare(&world.pay(4_00)).unwrap();
    let late = memory(&till);
    drop(till);
    let mut till = pos.shell_with(before).unwrap();
    online(&mut till).await;
    for _ in 0..2 {
        till.prepare(&Task::Status(id)).unwrap();
        let told = status(&settle(&mut till).await);
        assert_eq!(told, (State::NeverExecuted, None, None));
        till.acknowledge().unwrap();
    }
    drop(till);
    let mut till = pos.shell_with(late).unwrap();
    let refused = settle(&mut till).await;
    let because = Some(rule::TOMBSTONE.to_owned());
    assert_eq!(sale(&refused), (Outcome::Declined, 0, because));
    assert_eq!(world.state(), books);
}

/// Pays until the card has been refused, and returns what was approved in all.
async fn drain(till: &mut Shell<'_>, card: &Card, amount: i64, partial: bool) -> u64 {
    let mut taken = 0;
    loop {
        till.prepare(&pay(card, amount, partial)).unwrap();
        let (outcome, amount, because) = sale(&settle(till).await);
        till.acknowledge().unwrap();
        taken += amount;
        if outcome == Outcome::Declined {
            assert_eq!(because.as_deref(), Some(rule::BALANCE));
            return taken;
        }
    }
}

#[tokio::test]
async fn two_points_of_sale_never_drain_an_account_below_zero() {
    let world = World::running();
    let card = world.card("20.00");
    let (one, two) = (world.pos("pos"), world.second_pos());
    let (mut here, mut there) = (one.shell().unwrap(), two.shell().unwrap());
    online(&mut here).await;
    online(&mut there).await;
    // One of them takes what is left, so that in the end nothing is.
    let (whole, part) = tokio::join!(drain(&mut here, &card, 70, false), drain(&mut there, &card, 30, true));
    assert!(whole > 0 && part > 0, "they did not work at the same time");
    assert_eq!(whole + part, 20_00);
    assert_eq!(of(&card, &world), 0);
}

#[tokio::test]
async fn one_command_in_two_sessions_at_once_is_debited_once() {
    let world = World::running();
    let books = world.state();
    let pos = world.pos("pos");
    // The same terminal in two places: its directory was copied.
    crate::site::copy(&world.site.file("pos"), &world.site.file("copy"));
    let twin = tr_net::pos::Pos::open(&world.site.file("copy"), PASSPHRASE).unwrap();
    let mut one = pos.shell().unwrap();
    online(&mut one).await;
    one.prepare(&world.pay(4_00)).unwrap();
    let mut two = twin.shell_with(memory(&one)).unwrap();
    let (first, second) = tokio::join!(settle(&mut one), settle(&mut two));
    assert_eq!((first.command, first.answer), (second.command, second.answer));
    assert_eq!(world.state(), (books.0 - 4_00, books.1 + 1));
}

#[tokio::test]
async fn sealed_frame_delivered_twice_is_debited_once() {
    let world = World::running();
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    let books = world.state();
    let before = memory(&till);
    till.prepare(&world.pay(4_00)).unwrap();
    let command = pending(&till);
    let mut till = pos.shell_with(before).unwrap();
    online(&mut till).await;
    let frame = till.seal_verbatim(&command).unwrap();
    // Back to back, and once more afterwards.
    let answer = till.exchange_raw(&[&frame[..], &frame].concat()).await.unwrap();
    assert!(answer.starts_with("TR1 D sealed\n"), "{answer}");
    let answer = till.exchange_raw(&frame).await.unwrap();
    assert!(answer.contains("code=auth-failed"), "{answer}");
    assert_eq!(world.state(), (books.0 - 4_00, books.1 + 1));
}
