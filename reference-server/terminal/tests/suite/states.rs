//! What each event does in each state, one test a row of `docs/pos.md`.

use tr_auth_rustcrypto::RustCrypto;
use tr_pki::Verifier;
use tr_protocol::frame::{Encoder, Frame, Kind, MAX_INNER};
use tr_protocol::message::{ErrorAnswer, ErrorCode, Inner, ReversalReason};
use tr_protocol::value::{Amount, Digest, TransactionId};
use tr_terminal::{Error, Event, Output, Swiped};

use crate::backend::{Backend, Says, approval};
use crate::device::TestDevice;
use crate::line::Shell;
use crate::world::{NOW, POS_SEED, Pos, World, sale, swiped, time};

fn id(id: u64) -> TransactionId {
    TransactionId::new(id).unwrap()
}

fn verb(shell: &Shell<'_>) -> String {
    let (command, _) = shell.terminal.pending().unwrap();
    Frame::parse_exact(command).unwrap().verb().to_owned()
}

#[test]
fn only_one_command_is_pending_at_a_time() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::new(&device);
    let first = shell.terminal.authorise(&sale(1)).unwrap();
    assert_eq!(shell.terminal.authorise(&sale(2)).unwrap_err(), Error::Pending);
    assert_eq!(shell.terminal.balance(&swiped(), time()).unwrap_err(), Error::Pending);
    assert_eq!(shell.terminal.status(first, time()).unwrap_err(), Error::Pending);
    let refused = shell.terminal.reverse(first, ReversalReason::Cancelled, time());
    assert_eq!(refused.unwrap_err(), Error::Pending);
    assert_eq!(shell.terminal.memory().next_id().get(), first.get() + 1);
}

#[test]
fn a_backend_whose_certificate_has_expired_is_refused_by_the_clock_that_was_told() {
    const DAY: i64 = 86_400;
    for (days, online) in [(0, true), (88, true), (90, false), (-2, false)] {
        let device = TestDevice::new(POS_SEED);
        let mut shell = Shell::new(&device);
        shell.terminal.tell_time(NOW + days * DAY);
        shell.connect();
        shell.settle();
        assert_eq!(shell.terminal.is_online(), online, "{days} days: {:?}", shell.dropped);
    }
}

#[test]
fn a_track_that_is_no_text_is_refused() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::new(&device);
    for track in ["", "\n", &";".repeat(300)] {
        let card = Swiped { track, salt: [0; 16] };
        assert_eq!(shell.terminal.balance(&card, time()).unwrap_err(), Error::Track);
        assert!(!shell.terminal.memory().is_pending());
    }
}

#[test]
fn a_new_connection_in_any_state_ends_in_one_sale() {
    for moves in 0..12 {
        let device = TestDevice::new(POS_SEED);
        let mut shell = Shell::new(&device);
        shell.terminal.authorise(&sale(1250)).unwrap();
        shell.connect();
        for at in 0..moves {
            shell.run();
            if at % 2 == 0 {
                shell.deliver_up();
            } else {
                shell.deliver_down(usize::MAX);
            }
        }
        shell.connect();
        shell.settle();
        assert!(shell.shown, "{moves}");
        shell.acknowledge();
        shell.settle();
        assert!(shell.terminal.is_online() && shell.dropped.is_empty(), "{moves}");
    }
}

#[test]
fn a_sale_cancelled_before_it_was_sent_never_leaves() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::signed_on(&device);
    let original = shell.terminal.authorise(&sale(1250)).unwrap();
    shell.step();
    assert!(matches!(shell.terminal.poll(), Output::Send(_)));
    shell.terminal.cancel(ReversalReason::Timeout, time()).unwrap();
    shell.settle();
    assert!(shell.shown && shell.dropped.is_empty());
    assert!(!shell.backend.came.contains_key(&original.get()));
}

#[test]
fn a_sale_cancelled_after_it_was_sent_is_reversed_in_the_same_session() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::signed_on(&device);
    shell.terminal.authorise(&sale(1250)).unwrap();
    shell.run();
    shell.deliver_up();
    shell.terminal.cancel(ReversalReason::Timeout, time()).unwrap();
    assert_eq!(verb(&shell), "reversal");
    // The sale's answer comes too late: it is passed over.
    shell.settle();
    assert!(shell.shown && shell.dropped.is_empty(), "{:?}", shell.dropped);
    shell.acknowledge();
    assert!(shell.done[0].1.starts_with(b"TR1 I reversal"));
}

#[test]
fn a_sale_cancelled_while_shaking_hands_leaves_the_handshake_alone() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::new(&device);
    shell.terminal.authorise(&sale(1250)).unwrap();
    shell.connect();
    shell.terminal.cancel(ReversalReason::Timeout, time()).unwrap();
    shell.settle();
    assert!(shell.shown);
    assert_eq!(shell.backend.came.len(), 2, "sign-on and reversal");
}

#[test]
fn a_cancel_that_cannot_be_signed_leaves_the_sale_pending() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::new(&device);
    shell.terminal.authorise(&sale(1250)).unwrap();
    device.fails.set(true);
    let cancelled = shell.terminal.cancel(ReversalReason::Timeout, time());
    assert!(matches!(cancelled, Err(Error::Device(_))));
    device.fails.set(false);
    assert_eq!(verb(&shell), "authorise");
}

#[test]
fn a_reversal_cannot_be_given_up_and_a_question_can() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::new(&device);
    shell.terminal.authorise(&sale(1250)).unwrap();
    assert_eq!(shell.terminal.forget().unwrap_err(), Error::NothingPending);
    shell.terminal.cancel(ReversalReason::Timeout, time()).unwrap();
    let again = shell.terminal.cancel(ReversalReason::Timeout, time());
    assert_eq!(again.unwrap_err(), Error::NothingPending);
    assert_eq!(shell.terminal.forget().unwrap_err(), Error::NothingPending);
    shell.connect();
    shell.settle();
    shell.acknowledge();

    shell.terminal.balance(&swiped(), time()).unwrap();
    shell.run();
    shell.deliver_up();
    shell.terminal.forget().unwrap();
    shell.terminal.status(id(1), time()).unwrap();
    shell.settle();
    assert!(shell.shown && shell.dropped.is_empty());
    shell.acknowledge();
    assert!(shell.done[1].1.starts_with(b"TR1 I status"));
}

#[test]
fn a_device_that_fails_while_signing_on_leaves_no_session() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::new(&device);
    shell.terminal.authorise(&sale(1250)).unwrap();
    shell.connect();
    for _ in 0..3 {
        shell.run();
        shell.deliver_up();
        let frame = shell.take_down();
        device.fails.set(frame.windows(8).any(|octets| octets == b"\nstep=4\n"));
        let taken = shell.terminal.handle_input(&frame);
        assert_eq!(taken.is_err(), device.fails.get());
        if taken.is_err() {
            break;
        }
    }
    assert!(device.fails.take());
    assert!(!shell.terminal.is_online());
    shell.connect();
    shell.settle();
    assert!(shell.shown);
}

#[test]
fn the_low_water_mark_raises_the_counter_and_never_lowers_it() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::new(&device);
    shell.backend.low_water = 500;
    shell.connect();
    shell.settle();
    assert_eq!(shell.terminal.memory().next_id(), id(500));
    shell.restart();
    assert_eq!(shell.terminal.memory().next_id(), id(500));
    shell.backend.low_water = 3;
    shell.connect();
    shell.settle();
    assert_eq!(shell.terminal.memory().next_id(), id(501));
}

#[test]
fn the_end_of_all_ids_stops_the_terminal() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::new(&device);
    shell.backend.low_water = TransactionId::MAX.get();
    shell.connect();
    shell.settle();
    assert_eq!(shell.terminal.authorise(&sale(1)).unwrap_err(), Error::IdsExhausted);
    assert!(!shell.terminal.memory().is_pending());
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_session() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::signed_on(&device);
    let answer = shell
        .backend
        .sign(&approval(Amount::new(5).unwrap(), id(1), Digest([7; 32])));
    let frame = shell.backend.seal(&answer).unwrap();
    shell.terminal.handle_input(&frame).unwrap();
    shell.run();
    assert_eq!(shell.dropped, ["the answer belongs to another command"]);
}

/// A sale whose first answer is another; what the session ended with, if it did.
fn sale_answered(device: &TestDevice, says: Says) -> Shell<'_> {
    let mut shell = Shell::signed_on(device);
    shell.backend.instead.push(says);
    shell.terminal.authorise(&sale(1250)).unwrap();
    shell.settle();
    shell
}

#[test]
fn what_does_not_answer_the_sale_is_refused_and_the_sale_goes_on() {
    let other = "the answer belongs to another command";
    let unsigned = "the answer is not signed by the backend";
    let long = "what came is longer than this terminal keeps";
    let cases: [(&str, Says); 10] = [
        (other, |backend, _, re, _| {
            backend.sign(&approval(Amount::new(1250).unwrap(), re, Digest([7; 32])))
        }),
        (other, |backend, _, re, digest| {
            backend.sign(&approval(Amount::new(1250).unwrap(), re.next().unwrap(), digest))
        }),
        (other, |backend, _, re, digest| {
            backend.sign(&approval(Amount::new(9).unwrap(), re, digest))
        }),
        (other, |backend, _, re, digest| {
            let mut told = approval(Amount::new(1250).unwrap(), re, digest);
            told.currency = tr_protocol::value::Currency::new("EUR").unwrap();
            backend.sign(&told)
        }),
        (other, |backend, _, re, digest| {
            let balance = tr_protocol::message::BalanceAnswer {
                balance: Amount::new(7),
                cap: Amount::new(7),
                currency: tr_protocol::value::Currency::new("USD").unwrap(),
                digest,
                outcome: tr_protocol::message::BalanceOutcome::Told,
                re,
                rule: None,
                time: time(),
                extra: tr_protocol::message::Extra::default(),
            };
            backend.sign(&balance)
        }),
        (unsigned, |backend, _, re, digest| {
            let certificate = RustCrypto.sha256(&[&backend.world.pos]);
            backend.sign_as(&approval(Amount::new(1250).unwrap(), re, digest), &certificate)
        }),
        (unsigned, |backend, message, re, digest| {
            let mut answer = backend.decide(message, re, digest);
            // The signature's last character but one before the blank line: still base64url, still in range.
            let at = answer.len() - 12;
            answer[at] = if answer[at] == b'A' { b'B' } else { b'A' };
            answer
        }),
        (long, |backend, _, re, digest| {
            let mut buffer = [0; MAX_INNER];
            let mut encoder = Encoder::new(&mut buffer, Kind::Information, "error").unwrap();
            encoder.field("code", "too-old").unwrap();
            let line = crate::backend::encode(&ErrorAnswer::of(ErrorCode::TooOld).to(re, digest));
            let line = Frame::parse_exact(&line).unwrap();
            encoder.field("digest", line.get("digest").unwrap().value).unwrap();
            encoder.field("re", line.get("re").unwrap().value).unwrap();
            for name in ["xa", "xb", "xc", "xd", "xe", "xf", "xg", "xh", "xi", "xj", "xk"] {
                encoder.field(name, &"x".repeat(190)).unwrap();
            }
            sign(backend, encoder)
        }),
        ("the network refused: busy", |backend, _, re, digest| {
            backend.sign(&ErrorAnswer::of(ErrorCode::Busy).to(re, digest))
        }),
        ("the network refused: too-old", |backend, _, _, _| {
            // Bound to no command, so no answer to one.
            backend.sign(&ErrorAnswer::of(ErrorCode::TooOld))
        }),
    ];
    for (at, (why, says)) in cases.into_iter().enumerate() {
        let device = TestDevice::new(POS_SEED);
        let mut shell = sale_answered(&device, says);
        assert_eq!(shell.dropped, [why], "{at}");
        assert!(!shell.shown);
        shell.terminal.acknowledge();
        assert!(
            shell.terminal.memory().is_pending(),
            "what was not shown cannot be acknowledged"
        );
        shell.connect();
        shell.settle();
        assert!(shell.shown, "{at}");
    }
}

fn sign(backend: &Backend<'_>, encoder: Encoder<'_>) -> Vec<u8> {
    let certificate = Digest(RustCrypto.sha256(&[&backend.world.backend]));
    let signing = encoder.sign(&certificate).unwrap();
    let signature = tr_pki::Signer::sign(&backend.world.backend_key, signing.message()).unwrap();
    signing
        .append(&signature)
        .unwrap()
        .finish()
        .unwrap()
        .as_bytes()
        .to_vec()
}

#[test]
fn a_final_error_answers_the_command() {
    let finals: [Says; 5] = [
        |backend, _, re, digest| backend.sign(&ErrorAnswer::of(ErrorCode::TooOld).to(re, digest)),
        |backend, _, re, digest| backend.sign(&ErrorAnswer::of(ErrorCode::ChangedRepeat).to(re, digest)),
        |backend, _, re, digest| backend.sign(&ErrorAnswer::of(ErrorCode::LimitedSession).to(re, digest)),
        |backend, _, re, digest| backend.sign(&ErrorAnswer::of(ErrorCode::AuthenticationFailed).to(re, digest)),
        |backend, _, re, digest| backend.sign(&ErrorAnswer::of(ErrorCode::OutOfPlace).to(re, digest)),
    ];
    for says in finals {
        let device = TestDevice::new(POS_SEED);
        let mut shell = sale_answered(&device, says);
        assert!(shell.shown);
        let Output::Event(Event::Answer(answer)) = shell.terminal.poll() else {
            panic!("no answer");
        };
        assert!(matches!(answer.message, Inner::ErrorAnswer(_)));
        shell.acknowledge();
        shell.settle();
        assert!(shell.terminal.is_online() && !shell.terminal.memory().is_pending());
    }
}

#[test]
fn an_answer_stays_until_it_is_acknowledged() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::signed_on(&device);
    shell.terminal.authorise(&sale(1250)).unwrap();
    shell.settle();
    // Garbage after it drops the session, and takes nothing back.
    shell.terminal.handle_input(b"GET / HTTP/1.1").unwrap();
    assert!(!shell.terminal.is_online());
    for _ in 0..2 {
        assert!(matches!(shell.terminal.poll(), Output::Event(Event::Answer(_))));
    }
    shell.acknowledge();
    shell.run();
    assert_eq!(shell.dropped.len(), 1);
    assert!(!shell.terminal.memory().is_pending());
}

#[test]
fn what_arrives_without_a_connection_is_ignored() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::new(&device);
    shell.terminal.handle_input(&[b'T'; 20_000]).unwrap();
    assert!(matches!(shell.terminal.poll(), Output::Idle));
}

#[test]
fn an_endless_frame_is_cut_off() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::signed_on(&device);
    shell.terminal.handle_input(b"TR1 I error\n").unwrap();
    for _ in 0..9 {
        shell.terminal.handle_input(&[b'a'; 1000]).unwrap();
    }
    shell.run();
    assert_eq!(shell.dropped.len(), 1);
}

#[test]
fn a_backend_of_another_network_is_refused() {
    static OTHER: std::sync::LazyLock<World> = std::sync::LazyLock::new(|| World::new(41));
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::new(&device);
    shell.terminal.authorise(&sale(1250)).unwrap();
    shell.backend = Backend::new(&OTHER);
    shell.connect();
    shell.settle();
    assert!(
        shell.dropped[0].starts_with("the handshake failed"),
        "{:?}",
        shell.dropped
    );
    assert!(shell.backend.came.is_empty() && shell.terminal.memory().is_pending());
}

#[test]
fn frames_are_sealed_verbatim_only_when_nothing_waits() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::new(&device);
    assert_eq!(shell.terminal.seal_verbatim(b"x").unwrap_err(), Error::Offline);
    let mut shell = Shell::signed_on(&device);
    shell.terminal.seal_verbatim(b"x").unwrap();
    assert_eq!(shell.terminal.seal_verbatim(b"y").unwrap_err(), Error::Unsent);
    assert_eq!(shell.terminal.seal_verbatim(&[0; 7000]).unwrap_err(), Error::Unsent);
}

#[test]
fn a_terminal_fits_half_of_64_kilobytes() {
    let octets = size_of::<Pos<'_>>();
    assert!(octets <= 32 * 1024, "{octets}");
}
