//! Any order of sealing, losing, repeating, forging: a message opens once, to what was sealed, or not at all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tr_auth::Secret;
use tr_auth::channel::{ChannelError, OVERHEAD, Receiver, Sender};
use tr_auth_rustcrypto::RustCrypto;

const LIMIT: u64 = 200;
const WINDOW: u64 = 5;

struct Sent {
    routing: Vec<u8>,
    plaintext: Vec<u8>,
    octets: Vec<u8>,
    opened: bool,
}

fuzz_target!(|data: &[u8]| {
    let mut sender = Sender::new(Secret::new([7; 32]), LIMIT);
    let mut receiver = Receiver::<5>::new(Secret::new([7; 32]), LIMIT);
    let mut sent: Vec<Sent> = Vec::new();
    for step in data.chunks(4) {
        let [kind, a, b, c] = [0, 1, 2, 3].map(|at| step.get(at).copied().unwrap_or_default());
        let next = receiver.next();
        match kind % 4 {
            0 => {
                let (plaintext, routing) = (vec![a; usize::from(b)], vec![b; usize::from(c % 140)]);
                let mut octets = plaintext.clone();
                octets.resize(plaintext.len() + OVERHEAD, 0);
                match sender.seal(&RustCrypto, &routing, &mut octets, plaintext.len()) {
                    Ok(sealed) => {
                        assert_eq!((sealed.index, sealed.len), (sent.len() as u64, octets.len()));
                        sent.push(Sent {
                            routing,
                            plaintext,
                            octets,
                            opened: false,
                        });
                    }
                    Err(ChannelError::Exhausted { .. }) => assert_eq!(sent.len() as u64, LIMIT),
                    Err(ChannelError::Routing { octets }) => assert_eq!(octets, routing.len()),
                    Err(other) => panic!("{other}"),
                }
            }
            1 => {
                let Some(message) = sent.get_mut(usize::from(a)) else {
                    continue;
                };
                let index = u64::from(a);
                let mut octets = message.octets.clone();
                match receiver.open(&RustCrypto, index, &message.routing, &mut octets) {
                    Ok(plaintext) => {
                        assert!(!message.opened, "opened twice");
                        assert_eq!(plaintext, message.plaintext);
                        message.opened = true;
                        assert_eq!(receiver.next(), next.max(index + 1));
                    }
                    Err(ChannelError::Used { .. }) => assert!(message.opened || index + WINDOW < next),
                    Err(ChannelError::TooFarAhead { .. }) => assert!(index > next + WINDOW),
                    Err(other) => panic!("{other}"),
                }
            }
            2 => {
                // One octet of a message changed, or its routing data, or its index.
                let Some(message) = sent.get(usize::from(a)) else {
                    continue;
                };
                let (mut octets, mut routing, mut index) =
                    (message.octets.clone(), message.routing.clone(), u64::from(a));
                match c % 3 {
                    0 => {
                        let at = usize::from(b) % octets.len();
                        octets[at] ^= c | 1;
                    }
                    1 => routing.push(b),
                    _ => index ^= u64::from(b) | 1,
                }
                assert!(receiver.open(&RustCrypto, index, &routing, &mut octets).is_err());
                assert_eq!(receiver.next(), next, "a forged message moved the chain");
            }
            _ => {
                let mut octets = step.to_vec();
                octets.resize(usize::from(b), c);
                let index = u64::from(a).wrapping_mul(0x0101_0101_0101_0101);
                assert!(receiver.open(&RustCrypto, index, &[], &mut octets).is_err());
                assert_eq!(receiver.next(), next);
            }
        }
    }
});
