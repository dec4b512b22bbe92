//! What a handshake gives when nobody interferes.

use tr_auth::{Crypto, Error, MAX_MESSAGE_1, Side, label, message_buffer};
use tr_auth_aws_lc::AwsLc;
use tr_auth_rustcrypto::RustCrypto;
use tr_pki::{Certificate, Role, Standing, Time};

use crate::world::{BACKEND, DAY, NOW, POS, World, c_i, c_r, expected, handshake, ordinary};

#[test]
fn both_sides_agree_whatever_their_providers() {
    agree(&RustCrypto, &RustCrypto);
    agree(&AwsLc, &AwsLc);
    agree(&RustCrypto, &AwsLc);
    agree(&AwsLc, &RustCrypto);
}

fn agree<I: Crypto, R: Crypto>(i: &I, r: &R) {
    let run = ordinary(i, r);
    let (initiator, responder) = (&run.initiator, &run.responder);
    assert_eq!(initiator.side(), Side::Initiator);
    assert_eq!(responder.side(), Side::Responder);
    assert_eq!(
        (initiator.peer().uri(), initiator.peer().role()),
        (BACKEND, Role::Backend)
    );
    assert_eq!((responder.peer().uri(), responder.peer().role()), (POS, Role::Pos));
    assert!(!initiator.peer().limited() && !responder.peer().limited());
    assert_eq!(
        (initiator.own_connection(), initiator.peer_connection()),
        (&c_i(), &c_r())
    );
    assert_eq!(
        (responder.own_connection(), responder.peer_connection()),
        (&c_r(), &c_i())
    );

    let (mut ours, mut theirs) = ([0; 40], [0; 40]);
    initiator
        .exporter()
        .export(i, label::FIRST_FREE, b"a", &mut ours)
        .unwrap();
    responder
        .exporter()
        .export(r, label::FIRST_FREE, b"a", &mut theirs)
        .unwrap();
    assert_eq!(ours, theirs);
    initiator
        .exporter()
        .export(i, label::FIRST_FREE, b"b", &mut theirs)
        .unwrap();
    assert_ne!(ours, theirs);
    let reserved = initiator.exporter().export(i, label::CHANNEL_INITIATOR, b"", &mut ours);
    assert_eq!(reserved, Err(Error::Usage));

    let mut pos = run.initiator.into_channel::<I, 16>(i, 100);
    let mut backend = run.responder.into_channel::<R, 16>(r, 100);
    let mut buffer = [0; 64];
    buffer[..5].copy_from_slice(b"hello");
    let sealed = pos.sender.seal(i, b"route", &mut buffer, 5).unwrap();
    let opened = backend
        .receiver
        .open(r, sealed.index, b"route", &mut buffer[..sealed.len])
        .unwrap();
    assert_eq!(opened, b"hello");
    buffer[..5].copy_from_slice(b"world");
    let sealed = backend.sender.seal(r, b"route", &mut buffer, 5).unwrap();
    let opened = pos
        .receiver
        .open(i, sealed.index, b"route", &mut buffer[..sealed.len])
        .unwrap();
    assert_eq!(opened, b"world");
}

#[test]
fn the_four_messages_stay_below_their_limit() {
    let run = ordinary(&RustCrypto, &RustCrypto);
    let sizes = run.messages.each_ref().map(Vec::len);
    println!(
        "octets of messages 1 to 4: {sizes:?}, together {}",
        sizes.iter().sum::<usize>()
    );
    assert!(sizes[0] <= MAX_MESSAGE_1);
    assert!(sizes.iter().sum::<usize>() <= 1200, "{sizes:?}");
}

#[test]
fn message_buffer_is_long_enough_and_not_much_longer() {
    let world = World::new(1);
    let backend = world.backend();
    let needed = message_buffer(&backend.chain(), &[]);
    assert!((1000..2000).contains(&needed), "{needed}");
}

#[test]
fn a_stranger_costs_little_memory() {
    let state = size_of::<tr_auth::WaitMessage3>();
    println!("octets of state before the initiator is authenticated: {state}");
    assert!(state <= 128, "{state}");
}

#[test]
fn a_chain_up_to_the_root_is_taken() {
    let world = World::new(1);
    let (pos, backend) = (world.pos(), world.backend());
    let root = [Certificate::parse(&world.root).unwrap()];
    let by_pos = expected(&root, &[Role::Backend], &pos);
    let by_backend = expected(&root, &[Role::Pos], &backend);
    let chain = [backend.der.as_slice(), world.issuing.as_slice()];
    let identity = tr_auth::Identity {
        chain: &chain,
        signer: &backend.key,
    };

    let mut buffer = vec![0; message_buffer(&chain, &[])];
    let (waiting_2, len) = tr_auth::Initiator::start(&RustCrypto, &crate::world::X, c_i(), &mut buffer).unwrap();
    let message_1 = buffer[..len].to_vec();
    let (_, len) =
        tr_auth::Responder::respond(&AwsLc, &identity, &message_1, &crate::world::Y, c_r(), &[], &mut buffer).unwrap();
    let ready = waiting_2.process(&RustCrypto, &mut buffer[..len], &by_pos).unwrap();
    assert_eq!(ready.peer().uri(), BACKEND);
    assert_eq!(ready.certificate(), backend.der);
    // Without the issuing CA there is no way to the root.
    let refused = handshake(
        (&RustCrypto, &RustCrypto),
        (&pos, &backend),
        (&by_pos, &by_backend),
        |_, _| {},
    );
    assert!(matches!(refused, Err((2, Error::Certificate(_)))));
}

#[test]
fn an_expired_certificate_opens_a_limited_session_within_its_grace() {
    let world = World::new(1);
    let pos = world.party(Role::Pos, POS, 11, NOW - 91 * DAY);
    let backend = world.backend();
    let anchor = world.anchor();
    let by_pos = expected(&anchor, &[Role::Backend], &pos);
    let mut by_backend = expected(&anchor, &[Role::Pos], &backend);
    let providers = (&RustCrypto, &RustCrypto);

    let refused = handshake(providers, (&pos, &backend), (&by_pos, &by_backend), |_, _| {});
    assert!(matches!(refused, Err((3, Error::Certificate(_)))));

    by_backend.grace = 7 * DAY;
    let run = handshake(providers, (&pos, &backend), (&by_pos, &by_backend), |_, _| {});
    let run = run.map_err(|(_, error)| error).unwrap();
    assert!(run.responder.peer().limited());
    assert!(matches!(run.responder.peer().standing(), Standing::Expired { .. }));
    assert!(!run.initiator.peer().limited());
}

#[test]
fn a_device_without_a_clock_goes_by_its_floor() {
    let world = World::new(1);
    let pos = world.pos();
    let anchor = world.anchor();
    // Valid from tomorrow: whoever knows the time refuses, whoever does not cannot.
    let backend = world.party(Role::Backend, BACKEND, 12, NOW + DAY);
    let by_backend = expected(&anchor, &[Role::Pos], &backend);
    let mut by_pos = expected(&anchor, &[Role::Backend], &pos);
    let providers = (&AwsLc, &RustCrypto);
    let refused = handshake(providers, (&pos, &backend), (&by_pos, &by_backend), |_, _| {});
    assert!(matches!(refused, Err((2, Error::Certificate(_)))));
    by_pos.time = Time::at_least(NOW);
    assert!(handshake(providers, (&pos, &backend), (&by_pos, &by_backend), |_, _| {}).is_ok());
    by_pos.time = Time::at_least(NOW + 200 * DAY);
    assert!(handshake(providers, (&pos, &backend), (&by_pos, &by_backend), |_, _| {}).is_err());
}
