//! What must be refused, one rule each.

use tr_auth::{
    ConnectionId, CryptoError, EadItem, Error, Identity, Initiator, MAX_ERROR_MESSAGE, Message, PeerError, Responder,
};
use tr_auth_aws_lc::AwsLc;
use tr_auth_rustcrypto::RustCrypto;
use tr_pki::{PathErrorKind, Role, Time};

use crate::world::{CARD, DAY, NOW, POS, Party, Run, World, X, Y, c_i, c_r, expected, handshake};

const PROVIDERS: (&RustCrypto, &AwsLc) = (&RustCrypto, &AwsLc);

fn run(alter: impl FnMut(usize, &mut Vec<u8>)) -> Result<Run, (usize, Error)> {
    let world = World::new(1);
    let (pos, backend) = (world.pos(), world.backend());
    between(&world, &pos, &backend, alter)
}

fn between(
    world: &World,
    pos: &Party,
    backend: &Party,
    alter: impl FnMut(usize, &mut Vec<u8>),
) -> Result<Run, (usize, Error)> {
    let anchor = world.anchor();
    let by_pos = expected(&anchor, &[Role::Backend], pos);
    let by_backend = expected(&anchor, &[Role::Pos], backend);
    handshake(PROVIDERS, (pos, backend), (&by_pos, &by_backend), alter)
}

fn error(result: Result<Run, (usize, Error)>) -> (usize, Error) {
    result.err().expect("refused")
}

fn on_the_wire(error: &Error) -> Option<Vec<u8>> {
    let mut out = [0; MAX_ERROR_MESSAGE];
    error.write_message(&mut out).unwrap().map(|len| out[..len].to_vec())
}

const OPAQUE: &[u8] = b"\x01\x67refused";

#[test]
fn every_octet_of_every_message_counts() {
    let world = World::new(1);
    let (pos, backend) = (world.pos(), world.backend());
    let honest = between(&world, &pos, &backend, |_, _| {}).map_err(|(_, e)| e).unwrap();
    for number in 1..=4 {
        let len = honest.messages[number - 1].len();
        for at in 0..len {
            let (stopped, reason) = error(between(&world, &pos, &backend, |n, message| {
                if n == number {
                    message[at] ^= 1 << (at % 8);
                }
            }));
            // A changed C_I is noticed by the initiator: the transcripts differ.
            assert!(
                stopped == number || (number, stopped) == (1, 2),
                "{number} {at} {stopped}"
            );
            let told = on_the_wire(&reason);
            match reason {
                Error::Suite { .. } => assert_eq!(told.unwrap(), [2, 0x34]),
                Error::UnknownCredential { .. } => assert_eq!(told.unwrap(), [3, 0xf5]),
                Error::Peer(_) => assert_eq!(told, None),
                _ => assert_eq!(told.unwrap(), OPAQUE),
            }
        }
    }
}

#[test]
fn every_truncation_and_any_tail_is_refused() {
    let world = World::new(1);
    let (pos, backend) = (world.pos(), world.backend());
    let honest = between(&world, &pos, &backend, |_, _| {}).map_err(|(_, e)| e).unwrap();
    for number in 1..=4 {
        for len in 0..honest.messages[number - 1].len() {
            let (stopped, reason) = error(between(&world, &pos, &backend, |n, message| {
                if n == number {
                    message.truncate(len);
                }
            }));
            assert_eq!(stopped, number);
            assert!(matches!(reason, Error::Malformed { .. }), "{number} {len} {reason}");
        }
        let (stopped, _) = error(between(&world, &pos, &backend, |n, message| {
            if n == number {
                message.push(0x20);
            }
        }));
        // A whole item after message_1 is EAD, which the transcript covers.
        assert!(stopped == number || (number, stopped) == (1, 2));
    }
}

#[test]
fn a_reflected_key_is_refused() {
    // The responder answers with the initiator's own key; the initiator's check comes before any other.
    let mut first = Vec::new();
    let (stopped, reason) = error(run(|n, message| match n {
        1 => first = message.clone(),
        2 => message[3..35].copy_from_slice(&first[4..36]),
        _ => {}
    }));
    assert_eq!((stopped, reason), (2, Error::Reflected));

    // The responder draws the key that it was sent.
    let world = World::new(1);
    let backend = world.backend();
    let chain = backend.chain();
    let identity = Identity {
        chain: &chain,
        signer: &backend.key,
    };
    let mut buffer = [0; 4096];
    let (_, len) = Initiator::start(&RustCrypto, &X, c_i(), &mut buffer).unwrap();
    let message_1 = buffer[..len].to_vec();
    let answer = Responder::respond(&RustCrypto, &identity, &message_1, &X, c_r(), &[], &mut buffer);
    assert_eq!(answer.err(), Some(Error::Reflected));
}

#[test]
fn a_message_of_ones_own_is_no_answer() {
    for number in 2..=4 {
        let mut sent: Vec<Vec<u8>> = Vec::new();
        let (stopped, _) = error(run(|n, message| {
            sent.push(message.clone());
            if n == number {
                *message = sent[n - 2].clone();
            }
        }));
        assert_eq!(stopped, number);
    }
}

#[test]
fn ones_own_identity_is_refused() {
    let world = World::new(1);
    let pos = world.pos();
    // The same certificate at both ends.
    let anchor = world.anchor();
    let both = expected(&anchor, &[Role::Pos], &pos);
    let same = handshake(PROVIDERS, (&pos, &pos), (&both, &both), |_, _| {});
    assert_eq!(error(same), (2, Error::OwnIdentity));
    // Another certificate of the same name; another of the same key.
    let renewed = world.party(Role::Pos, POS, 31, NOW - DAY);
    let shared_key = world.party(Role::Pos, CARD, 11, NOW - DAY);
    for other in [renewed, shared_key] {
        let result = handshake(PROVIDERS, (&pos, &other), (&both, &both), |_, _| {});
        assert_eq!(error(result), (2, Error::OwnIdentity));
    }
}

#[test]
fn only_an_expected_role_is_believed() {
    let world = World::new(1);
    let (pos, card) = (world.pos(), world.party(Role::VirtualCard, CARD, 13, NOW - DAY));
    let (stopped, reason) = error(between(&world, &pos, &card, |_, _| {}));
    assert_eq!(stopped, 2);
    assert!(matches!(reason, Error::Certificate(e) if matches!(e.kind, PathErrorKind::Role { .. })));
    let (stopped, _) = error(between(&world, &card, &world.backend(), |_, _| {}));
    assert_eq!(stopped, 3);
}

#[test]
fn a_foreign_root_is_refused() {
    let (ours, foreign) = (World::new(1), World::new(101));
    let result = between(&ours, &ours.pos(), &foreign.backend(), |_, _| {});
    assert!(matches!(error(result), (2, Error::Certificate(_))));
    let result = between(&ours, &foreign.pos(), &ours.backend(), |_, _| {});
    assert!(matches!(error(result), (3, Error::Certificate(_))));
}

#[test]
fn a_certificate_of_somebody_else_is_of_no_use() {
    let world = World::new(1);
    let (pos, backend) = (world.pos(), world.backend());
    let thief = Party {
        key: crate::world::Key::new(77),
        der: backend.der.clone(),
    };
    let refused = |message| Error::Refused {
        message,
        cause: CryptoError::Signature,
    };
    assert_eq!(
        error(between(&world, &pos, &thief, |_, _| {})),
        (2, refused(Message::Two))
    );
    let thief = Party {
        key: crate::world::Key::new(77),
        der: pos.der.clone(),
    };
    assert_eq!(
        error(between(&world, &thief, &backend, |_, _| {})),
        (3, refused(Message::Three))
    );
}

#[test]
fn a_time_below_the_floor_is_never_accepted() {
    let world = World::new(1);
    let (pos, backend) = (world.pos(), world.backend());
    let anchor = world.anchor();
    let mut by_pos = expected(&anchor, &[Role::Backend], &pos);
    by_pos.time = Time {
        floor: NOW,
        authenticated: Some(NOW - 1),
    };
    let by_backend = expected(&anchor, &[Role::Pos], &backend);
    let result = handshake(PROVIDERS, (&pos, &backend), (&by_pos, &by_backend), |_, _| {});
    assert!(matches!(error(result), (2, Error::Certificate(_))));
}

#[test]
fn no_point_of_the_curve() {
    let mut off_curve = [0; 32];
    off_curve[31] = 1;
    for coordinate in [off_curve, [0xff; 32]] {
        let refused = |message| Error::Refused {
            message,
            cause: CryptoError::Point,
        };
        let result = run(|n, message| {
            if n == 1 {
                message[4..36].copy_from_slice(&coordinate);
            }
        });
        assert_eq!(error(result), (1, refused(Message::One)));
        let result = run(|n, message| {
            if n == 2 {
                message[3..35].copy_from_slice(&coordinate);
            }
        });
        assert_eq!(error(result), (2, refused(Message::Two)));
    }
}

#[test]
fn another_method_or_suite_is_refused() {
    let result = run(|n, message| {
        if n == 1 {
            message[0] = 3;
        }
    });
    assert_eq!(error(result), (1, Error::Method { found: 3 }));
    let result = run(|n, message| {
        if n == 1 {
            message[1] = 2;
        }
    });
    let (stopped, reason) = error(result);
    assert_eq!((stopped, reason), (1, Error::Suite { selected: 2 }));
    // The selected suite is the last of the list.
    for (suites, expected) in [
        (&[0x82, 0x02, 0x34][..], None),
        (
            &[0x82, 0x34, 0x02],
            Some(Error::Malformed {
                message: Message::One,
                offset: 2,
            }),
        ),
        (&[0x82, 0x03, 0x02], Some(Error::Suite { selected: 2 })),
        (
            &[0x81, 0x34],
            Some(Error::Malformed {
                message: Message::One,
                offset: 1,
            }),
        ),
        (
            &[0x80],
            Some(Error::Malformed {
                message: Message::One,
                offset: 1,
            }),
        ),
    ] {
        let (stopped, reason) = error(run(|n, message| {
            if n == 1 {
                message.splice(1..2, suites.iter().copied());
            }
        }));
        match expected {
            Some(expected) => assert_eq!((stopped, reason), (1, expected)),
            // Well-formed, so it is the transcript that betrays the change: a downgrade is noticed.
            None => assert_eq!(stopped, 2),
        }
    }
}

#[test]
fn ead_of_strangers() {
    // (EAD_1 as sent, whether the responder goes on)
    for (ead, goes_on) in [
        (&[0x00][..], true),
        (&[0x00, 0x43, 1, 2, 3], true),
        (&[0x19, 0x80, 0x00, 0x41, 9], true),
        (&[0x39, 0x7f, 0xff, 0x41, 9], false),
        (&[0x20], false),
        (&[0x41, 9], false),
        (&[0x18, 0x05], false),
        (&[0x00, 0x60], false),
    ] {
        let (stopped, reason) = error(run(|n, message| {
            if n == 1 {
                message.extend_from_slice(ead);
            }
        }));
        assert_eq!(stopped == 2, goes_on, "{ead:x?} {reason}");
    }
}

#[test]
fn signed_ead_travels_and_criticality_counts() {
    let world = World::new(1);
    let (pos, backend) = (world.pos(), world.backend());
    let anchor = world.anchor();
    let chain = backend.chain();
    let identity = Identity {
        chain: &chain,
        signer: &backend.key,
    };
    let mut expected = expected(&anchor, &[Role::Backend], &pos);
    let items = |critical| {
        [
            EadItem {
                label: 0,
                critical: false,
                value: Some(&[0; 40]),
            },
            EadItem {
                label: 40_000,
                critical,
                value: Some(b"status"),
            },
            EadItem {
                label: 40_001,
                critical: false,
                value: None,
            },
        ]
    };
    for (critical, understood, accepted) in [(false, &[][..], true), (true, &[], false), (true, &[40_000], true)] {
        expected.understood = understood;
        let mut buffer = [0; 4096];
        let (waiting, len) = Initiator::start(&RustCrypto, &X, c_i(), &mut buffer).unwrap();
        let message_1 = buffer[..len].to_vec();
        let (_, len) = Responder::respond(
            &RustCrypto,
            &identity,
            &message_1,
            &Y,
            c_r(),
            &items(critical),
            &mut buffer,
        )
        .unwrap();
        match waiting.process(&RustCrypto, &mut buffer[..len], &expected) {
            Ok(ready) => {
                assert!(accepted);
                let labels: Vec<u32> = ready.ead().items().map(|item| item.label).collect();
                assert_eq!(labels, [40_000, 40_001]);
                assert_eq!(ready.ead().value(40_000), Some(&b"status"[..]));
                assert_eq!(ready.ead().value(40_001), None);
            }
            Err(reason) => {
                assert!(!accepted);
                assert_eq!(
                    reason,
                    Error::CriticalEad {
                        message: Message::Two,
                        label: 40_000
                    }
                );
            }
        }
    }
}

#[test]
fn an_error_message_ends_the_handshake_without_an_answer() {
    for (octets, said) in [
        (&b"\x01\x67refused"[..], PeerError::Unspecified),
        (b"\x02\x34", PeerError::WrongSuite),
        (b"\x03\xf5", PeerError::UnknownCredential),
        (b"\x18\x2a", PeerError::Other(42)),
    ] {
        for number in 2..=4 {
            let (stopped, reason) = error(run(|n, message| {
                if n == number {
                    *message = octets.to_vec();
                }
            }));
            assert_eq!((stopped, reason), (number, Error::Peer(said)));
            assert_eq!(on_the_wire(&reason), None);
        }
    }
}

#[test]
fn a_reference_to_a_certificate_is_not_known_yet() {
    // Nobody else sends one, so the plaintext of message_2 is changed under its keystream: { 33: … } becomes { 34: … }.
    let (stopped, reason) = error(run(|n, message| {
        if n == 2 {
            // Head (3), G_Y (32), C_R (2), map (1), 0x18, 33
            message[3 + 32 + 2 + 2] ^= 33 ^ 34;
        }
    }));
    assert_eq!(
        (stopped, reason),
        (2, Error::UnknownCredential { message: Message::Two })
    );
    assert_eq!(on_the_wire(&reason).unwrap(), [3, 0xf5]);
}

#[test]
fn a_dead_generator_is_noticed() {
    let mut buffer = [0; 64];
    for octet in [0, 0xff, 0x55] {
        let result = Initiator::start(&RustCrypto, &[octet; 32], c_i(), &mut buffer);
        assert_eq!(result.err(), Some(Error::Randomness));
    }
    // Above the order of the curve, but not all the same: another scalar is made of it, alike by both providers.
    let mut high = [0xff; 32];
    high[31] = 0xfe;
    let mut other = [0; 64];
    assert!(Initiator::start(&RustCrypto, &high, c_i(), &mut buffer).is_ok());
    assert!(Initiator::start(&AwsLc, &high, c_i(), &mut other).is_ok());
    assert_eq!(buffer, other);
}

#[test]
fn a_small_buffer_says_how_much_is_missing() {
    let mut small = [0; 20];
    let result = Initiator::start(&RustCrypto, &X, c_i(), &mut small);
    assert!(matches!(result.err(), Some(Error::Buffer { found: 20, .. })));
    let world = World::new(1);
    let backend = world.backend();
    let chain = backend.chain();
    let identity = Identity {
        chain: &chain,
        signer: &backend.key,
    };
    let mut buffer = vec![0; tr_auth::message_buffer(&chain, &[])];
    let (_, len) = Initiator::start(&RustCrypto, &X, c_i(), &mut buffer).unwrap();
    let message_1 = buffer[..len].to_vec();
    let respond =
        |out: &mut [u8]| Responder::respond(&RustCrypto, &identity, &message_1, &Y, c_r(), &[], out).map(|_| ());
    assert_eq!(respond(&mut buffer), Ok(()));
    let Err(Error::Buffer { needed, found: 700 }) = respond(&mut [0; 700]) else {
        panic!("the buffer is too small")
    };
    assert!(needed <= buffer.len());
    assert_eq!(respond(&mut vec![0; needed]), Ok(()));
}

#[test]
fn a_chain_that_cannot_be() {
    let world = World::new(1);
    let backend = world.backend();
    let mut buffer = [0; 8192];
    let (_, len) = Initiator::start(&RustCrypto, &X, c_i(), &mut buffer).unwrap();
    let message_1 = buffer[..len].to_vec();
    for chain in [&[][..], &[&backend.der[..]; 5]] {
        let identity = Identity {
            chain,
            signer: &backend.key,
        };
        let result = Responder::respond(&RustCrypto, &identity, &message_1, &Y, c_r(), &[], &mut buffer);
        assert_eq!(result.err(), Some(Error::Usage));
    }
}

#[test]
fn connection_identifiers_have_one_spelling() {
    assert!(ConnectionId::new(&[0; 9]).is_err());
    // 0x2d must travel as the integer −14, not as h'2d'.
    let (stopped, reason) = error(run(|n, message| {
        if n == 1 {
            let last = message.len() - 1;
            message.insert(last, 0x41);
        }
    }));
    assert_eq!(
        (stopped, reason),
        (
            1,
            Error::Malformed {
                message: Message::One,
                offset: 36
            }
        )
    );
    let (stopped, _) = error(run(|n, message| {
        if n == 1 {
            message.pop();
            message.extend_from_slice(&[0x49, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        }
    }));
    assert_eq!(stopped, 1);
}
