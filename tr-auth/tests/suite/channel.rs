//! The sealed channel.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tr_auth::Channel;
use tr_auth::channel::{ChannelError, MAX_ROUTING, OVERHEAD};
use tr_auth_rustcrypto::RustCrypto;

use crate::world::channels;

const ROUTE: &[u8] = b"route";

fn seal<const W: usize>(channel: &mut Channel<W>, text: &[u8]) -> (u64, Vec<u8>) {
    let mut buffer = text.to_vec();
    buffer.resize(text.len() + OVERHEAD, 0);
    let sealed = channel
        .sender
        .seal(&RustCrypto, ROUTE, &mut buffer, text.len())
        .unwrap();
    assert_eq!(sealed.len, buffer.len());
    (sealed.index, buffer)
}

fn open<const W: usize>(channel: &mut Channel<W>, (index, message): &(u64, Vec<u8>)) -> Result<Vec<u8>, ChannelError> {
    let mut buffer = message.clone();
    channel
        .receiver
        .open(&RustCrypto, *index, ROUTE, &mut buffer)
        .map(|text| text.to_vec())
}

#[test]
fn a_message_opens_once() {
    let (mut ours, mut theirs) = channels::<16>(100);
    let message = seal(&mut ours, b"pay");
    assert_eq!(open(&mut theirs, &message), Ok(b"pay".to_vec()));
    assert_eq!(open(&mut theirs, &message), Err(ChannelError::Used { index: 0 }));
    let next = seal(&mut ours, b"");
    assert_eq!(open(&mut theirs, &next), Ok(Vec::new()));
}

#[test]
fn directions_have_keys_of_their_own() {
    let (mut ours, mut theirs) = channels::<16>(100);
    let message = seal(&mut ours, b"pay");
    assert_eq!(open(&mut ours, &message), Err(ChannelError::Forged { index: 0 }));
    assert_eq!(open(&mut theirs, &message), Ok(b"pay".to_vec()));
}

#[test]
fn equal_messages_look_different() {
    let (mut ours, _) = channels::<16>(100);
    assert_ne!(seal(&mut ours, b"pay").1, seal(&mut ours, b"pay").1);
}

#[test]
fn a_forged_message_changes_nothing() {
    let (mut ours, mut theirs) = channels::<16>(100);
    let first = seal(&mut ours, b"first");
    let second = seal(&mut ours, b"second");
    for at in 0..second.1.len() {
        let mut forged = second.clone();
        forged.1[at] ^= 0x80;
        assert_eq!(open(&mut theirs, &forged), Err(ChannelError::Forged { index: 1 }));
    }
    // Another index, another route, and the buffer afterwards.
    assert_eq!(
        open(&mut theirs, &(0, second.1.clone())),
        Err(ChannelError::Forged { index: 0 })
    );
    assert_eq!(
        open(&mut theirs, &(9, second.1.clone())),
        Err(ChannelError::Forged { index: 9 })
    );
    let mut buffer = second.1.clone();
    let result = theirs.receiver.open(&RustCrypto, 1, b"elsewhere", &mut buffer);
    assert_eq!(result, Err(ChannelError::Forged { index: 1 }));
    assert!(buffer[..6].iter().all(|octet| *octet == 0));
    assert_eq!(theirs.receiver.next(), 0);
    assert_eq!(open(&mut theirs, &second), Ok(b"second".to_vec()));
    // The late one is guarded alike.
    let mut forged = first.clone();
    forged.1[0] ^= 1;
    assert_eq!(open(&mut theirs, &forged), Err(ChannelError::Forged { index: 0 }));
    assert_eq!(open(&mut theirs, &first), Ok(b"first".to_vec()));
    assert_eq!(open(&mut theirs, &first), Err(ChannelError::Used { index: 0 }));
}

#[test]
fn the_window_forgives_so_many_and_no_more() {
    let (mut ours, mut theirs) = channels::<4>(100);
    let messages: Vec<_> = (0..12).map(|n| seal(&mut ours, &[n])).collect();
    let far = ChannelError::TooFarAhead { index: 5, next: 0 };
    assert_eq!(open(&mut theirs, &messages[5]), Err(far));
    assert_eq!(open(&mut theirs, &messages[4]), Ok(vec![4]));
    assert_eq!(open(&mut theirs, &messages[2]), Ok(vec![2]));
    assert_eq!(open(&mut theirs, &messages[5]), Ok(vec![5]));
    // 0 and 1 have left the window of four before 6.
    for late in [0, 1] {
        assert!(matches!(
            open(&mut theirs, &messages[late]),
            Err(ChannelError::Used { .. })
        ));
    }
    assert_eq!(open(&mut theirs, &messages[3]), Ok(vec![3]));
    assert_eq!(open(&mut theirs, &messages[10]), Ok(vec![10]));
    for (late, expected) in [(6, false), (7, true), (8, true), (9, true), (10, false)] {
        assert_eq!(open(&mut theirs, &messages[late]).is_ok(), expected, "{late}");
    }
}

#[test]
fn a_channel_wears_out() {
    let (mut ours, mut theirs) = channels::<16>(3);
    for n in 0..3 {
        assert_eq!(ours.sender.remaining(), 3 - u64::from(n));
        let message = seal(&mut ours, &[n]);
        assert_eq!(open(&mut theirs, &message), Ok(vec![n]));
    }
    let mut buffer = [0; 32];
    let exhausted = ChannelError::Exhausted { limit: 3 };
    assert_eq!(ours.sender.seal(&RustCrypto, ROUTE, &mut buffer, 1), Err(exhausted));
    for index in [3, 4, u64::MAX] {
        assert_eq!(open(&mut theirs, &(index, vec![0; 32])), Err(exhausted));
    }
}

#[test]
fn what_does_not_fit() {
    let (mut ours, mut theirs) = channels::<16>(100);
    let mut buffer = [0; 20];
    let result = ours.sender.seal(&RustCrypto, ROUTE, &mut buffer, 5);
    assert_eq!(result, Err(ChannelError::Buffer { needed: 21, found: 20 }));
    let result = ours.sender.seal(&RustCrypto, ROUTE, &mut buffer, usize::MAX);
    assert!(matches!(result, Err(ChannelError::Buffer { .. })));
    let long = [0; MAX_ROUTING + 1];
    let result = ours.sender.seal(&RustCrypto, &long, &mut buffer, 1);
    assert_eq!(
        result,
        Err(ChannelError::Routing {
            octets: MAX_ROUTING + 1
        })
    );
    assert_eq!(ours.sender.next(), 0);
    assert!(matches!(
        open(&mut theirs, &(0, vec![0; 15])),
        Err(ChannelError::Buffer { .. })
    ));
    let sealed = ours.sender.seal(&RustCrypto, &long[1..], &mut buffer, 4).unwrap();
    assert!(
        theirs
            .receiver
            .open(&RustCrypto, sealed.index, &long[1..], &mut buffer)
            .is_ok()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is lost, repeated, reordered or forged: each message opens at most once, to what was sealed, and the receiver
    /// refuses only what is spent, forged, or too far away.
    #[test]
    fn like_a_set_of_indices(steps in proptest::collection::vec((0u64..60, 0u8..4), 1..120)) {
        const W: u64 = 8;
        let (mut ours, mut theirs) = channels::<8>(60);
        let messages: Vec<_> = (0..60).map(|n| seal(&mut ours, &[n; 3])).collect();
        let mut next = 0;
        let mut pending = BTreeSet::new();
        for (index, kind) in steps {
            // Mostly near the front, so that the walk gets somewhere.
            let index = if kind == 0 { index } else { (next + index % 12).saturating_sub(4).min(59) };
            let mut message = messages[usize::try_from(index).unwrap()].clone();
            let forged = kind == 3;
            if forged {
                message.1[1] ^= 4;
            }
            let result = open(&mut theirs, &message);
            let known = index >= next || pending.contains(&index);
            if index > next + W {
                prop_assert_eq!(result, Err(ChannelError::TooFarAhead { index, next }));
            } else if !known {
                prop_assert_eq!(result, Err(ChannelError::Used { index }));
            } else if forged {
                prop_assert_eq!(result, Err(ChannelError::Forged { index }));
            } else {
                prop_assert_eq!(result, Ok(vec![u8::try_from(index).unwrap(); 3]));
                pending.remove(&index);
                if index >= next {
                    pending.extend(next..index);
                    next = index + 1;
                    pending = pending.split_off(&next.saturating_sub(W));
                }
            }
            prop_assert_eq!(theirs.receiver.next(), next);
        }
    }
}
