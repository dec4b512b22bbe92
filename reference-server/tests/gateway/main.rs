//! The gateway, the link and TLS over real sockets: what passes, what is refused, and that nobody's misbehaviour is
//! anyone else's trouble.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test panics, and is to")]

mod hostile;
mod refusals;
mod world;

use core::time::Duration;
use std::sync::{Arc, Mutex};

use rustls::pki_types::ServerName;
use tr_net::gateway::{Direction, Tap, WireLog};
use tr_net::link::{self, Class};
use tr_net::tls;
use tr_pki::Role;
use world::{Ca, Plan, SOON, World, backend, echo, eventually, logged, loopback, scratch, sealed};

#[tokio::test]
async fn frames_pass_verbatim_both_ways() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let plan = Plan {
        tap: Some(Tap::new(move |seen| {
            notes.lock().unwrap().push((seen.direction, seen.frame.to_vec()))
        })),
        ..Plan::default()
    };
    let (world, _backend) = World::new(plan).await;
    let mut pos = world.pos().await;
    let mut card = world.device(Role::ClassCard).await.unwrap();
    // An unknown field that is not critical passes; two frames in one write, one frame in three.
    let enrol =
        "TR1 C enrol\ncsr=AQID\nid=1\nmac=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nvoucher=v1\nx-later=1\n\n";
    let both = format!("{enrol}{}", sealed(7));
    pos.send(both.as_bytes()).await;
    assert_eq!(pos.receive().await.as_deref(), Some(enrol));
    assert_eq!(pos.receive().await, Some(sealed(7)));
    for part in ["TR", "1 D sealed\nindex=9\n", "payload=AAAA\n\n"] {
        card.send(part.as_bytes()).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        card.receive().await.as_deref(),
        Some("TR1 D sealed\nindex=9\npayload=AAAA\n\n")
    );
    for direction in [Direction::ToBackend, Direction::ToDevice] {
        let found = eventually(|| {
            let seen = seen.lock().unwrap();
            seen.contains(&(direction, sealed(7).into_bytes())).then_some(())
        });
        found.await.expect("the tap saw it");
    }
    assert_eq!(world.metrics.forwarded.get(), 3);
    assert_eq!(world.uplink.connects(), 1);
}

#[tokio::test]
async fn the_largest_frame_passes() {
    let (world, _backend) = World::new(Plan::default()).await;
    let head = "TR1 D sealed\nindex=1\npayload=";
    // Base64url in whole quanta, up to at most 8192 octets with the blank line.
    let quanta = (8192 - head.len() - 2) / 4;
    let frame = format!("{head}{}\n\n", "AAAA".repeat(quanta));
    assert!(frame.len() > 8188);
    let mut pos = world.pos().await;
    pos.send(frame.as_bytes()).await;
    assert_eq!(pos.receive().await, Some(frame));
}

#[tokio::test]
async fn the_backend_knows_class_and_address_and_sees_devices_leave() {
    let ca = Ca::new();
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let behave = move |mut device: link::Device| {
        let arrived = arrived.clone();
        async move {
            arrived.send((device.class, device.peer.clone())).unwrap();
            while device.next_frame().await.is_some() {}
            arrived.send((device.class, "gone".to_owned())).unwrap();
        }
    };
    let (address, _backend) = backend(&ca, loopback(), Plan::default().link, behave).await;
    let world = World::with(
        ca,
        Plan {
            backend: Some(address),
            ..Plan::default()
        },
    )
    .await;
    world.link_up().await;
    for (role, class) in [(Role::ClassPos, Class::Pos), (Role::ClassCard, Class::Card)] {
        let mut device = world.device(role).await.unwrap();
        device.send(sealed(1).as_bytes()).await;
        assert_eq!(arrivals.recv().await, Some((class, device.address.to_string())));
        drop(device);
        assert_eq!(arrivals.recv().await, Some((class, "gone".to_owned())));
    }
}

#[tokio::test]
async fn a_device_without_tokio_connects() {
    let (world, _backend) = World::new(Plan::default()).await;
    let config = tls::client_config(
        &world.ca.identity(Role::ClassPos),
        &world.ca.trust(),
        Role::ClassGateway,
    )
    .unwrap();
    let address = world.gateway;
    let echoed = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = tls::connect_blocking(config, address, name, SOON).unwrap();
        assert_eq!(
            tls::peer_class(stream.conn.peer_certificates()),
            Some(Role::ClassGateway)
        );
        stream.write_all(sealed(3).as_bytes()).unwrap();
        let mut answer = vec![0; sealed(3).len()];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    });
    assert_eq!(echoed.await.unwrap(), sealed(3));
}

#[tokio::test]
async fn while_the_backend_is_away_devices_are_told_at_once_and_afterwards_served() {
    let world = World::with(Ca::new(), Plan::default()).await;
    let mut pos = world.pos().await;
    pos.send(sealed(1).as_bytes()).await;
    assert_eq!(
        pos.receive().await.as_deref(),
        Some("TR1 I error\ncode=unavailable\n\n")
    );
    // A request with an id is told so by its id and digest.
    pos.send(b"TR1 C authenticate\nid=5\nmessage=AAAA\nstep=1\n\n").await;
    let answer = pos.receive().await.unwrap();
    assert!(
        answer.starts_with("TR1 I error\ncode=unavailable\ndigest=") && answer.ends_with("\nre=5\n\n"),
        "{answer}"
    );

    let (_, first) = backend(&world.ca, world.backend_address, Plan::default().link, echo).await;
    world.link_up().await;
    pos.echo(2).await;

    first.kill().await;
    eventually(|| (!world.uplink.is_up()).then_some(()))
        .await
        .expect("the link is seen to break");
    pos.send(sealed(3).as_bytes()).await;
    assert_eq!(
        pos.receive().await.as_deref(),
        Some("TR1 I error\ncode=unavailable\n\n")
    );

    let (_, _second) = backend(&world.ca, world.backend_address, Plan::default().link, echo).await;
    world.link_up().await;
    pos.echo(4).await;
    assert_eq!(world.uplink.connects(), 2);
}

#[tokio::test]
async fn a_frame_under_way_when_the_link_breaks_is_told_as_unknown_once() {
    let ca = Ca::new();
    let (took, mut taken) = tokio::sync::mpsc::unbounded_channel();
    let behave = move |mut device: link::Device| {
        let took = took.clone();
        async move {
            while device.next_frame().await.is_some() {
                took.send(()).unwrap();
            }
        }
    };
    let (address, backend) = backend(&ca, loopback(), Plan::default().link, behave).await;
    let world = World::with(
        ca,
        Plan {
            backend: Some(address),
            ..Plan::default()
        },
    )
    .await;
    world.link_up().await;
    let (mut busy, mut idle) = (world.pos().await, world.pos().await);
    busy.send(sealed(1).as_bytes()).await;
    taken.recv().await.unwrap();
    backend.kill().await;
    assert_eq!(busy.receive().await.as_deref(), Some("TR1 I error\ncode=failed\n\n"));
    // Neither a second word to the one nor a word to the other: what each gets next is the answer to its next frame.
    for device in [&mut busy, &mut idle] {
        device.send(sealed(2).as_bytes()).await;
        assert_eq!(
            device.receive().await.as_deref(),
            Some("TR1 I error\ncode=unavailable\n\n")
        );
    }
}

#[tokio::test]
async fn shutting_down_delivers_the_answer_that_is_under_way() {
    let ca = Ca::new();
    let behave = |mut device: link::Device| async move {
        while let Some(frame) = device.next_frame().await {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let _ = device.answers.send(&frame).await;
        }
    };
    let (address, _backend) = backend(&ca, loopback(), Plan::default().link, behave).await;
    let world = World::with(
        ca,
        Plan {
            backend: Some(address),
            ..Plan::default()
        },
    )
    .await;
    world.link_up().await;
    let (mut busy, mut idle) = (world.pos().await, world.pos().await);
    busy.send(sealed(1).as_bytes()).await;
    eventually(|| (world.metrics.forwarded.get() == 1).then_some(()))
        .await
        .unwrap();
    let stopping = tokio::spawn(world.gateway_task.stop());
    assert_eq!(busy.receive().await, Some(sealed(1)));
    assert_eq!(busy.end().await, "closed");
    assert_eq!(idle.end().await, "closed");
    stopping.await.unwrap();
}

#[tokio::test]
async fn the_wire_log_shows_what_the_gateway_saw() {
    let (_folder, path) = scratch("wire.jsonl");
    let plan = Plan {
        tap: Some(WireLog::open(&path).unwrap().tap()),
        ..Plan::default()
    };
    let (world, _backend) = World::new(plan).await;
    let mut pos = world.pos().await;
    pos.echo(1).await;
    pos.send(b"hello\n\n").await;
    assert!(pos.receive().await.unwrap().contains("code=bad-magic"));
    let lines = eventually(|| {
        let text = std::fs::read_to_string(&path).unwrap();
        (text.lines().count() == 4).then_some(text)
    });
    let lines = lines.await.expect("four frames were seen");
    for (line, direction) in lines
        .lines()
        .zip(["to-backend", "to-device", "refused", "from-gateway"])
    {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["direction"], direction);
        assert_eq!(value["peer"], pos.address.to_string());
    }
}

#[tokio::test]
async fn a_taken_port_is_one_clear_line() {
    let (world, _backend) = World::new(Plan::default()).await;
    let error = link::listen("gateway", world.gateway).await.unwrap_err().to_string();
    assert!(
        error.contains("port is taken") && error.contains(&world.gateway.to_string()),
        "{error}"
    );
    assert!(!error.contains('\n'));
}

#[tokio::test]
async fn logs_name_the_devices_and_no_payload() {
    let (world, _backend) = World::new(Plan::default()).await;
    let mut pos = world.pos().await;
    let peer = pos.address.to_string();
    pos.echo(1).await;
    drop(pos);
    logged(&[&peer, "a device has left"]).await;
    // Of all tests of this process so far.
    assert!(!world::all_logged().contains(world::PAYLOAD));
}
