//! Devices that misbehave, one way each; a well-behaved one beside them notices nothing.

use core::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tr_net::gateway::Limits;
use tr_net::link;
use tr_pki::Role;

use crate::world::{Ca, Plan, World, backend, eventually, logged, loopback, sealed};

fn short() -> Limits {
    let mut limits = Limits::default();
    limits.handshake = Duration::from_millis(300);
    limits.frame = Duration::from_millis(300);
    limits.idle = Duration::from_millis(600);
    limits.write = Duration::from_millis(300);
    limits
}

#[tokio::test]
async fn garbage_is_answered_and_closed_and_harms_nobody_else() {
    let (world, _backend) = World::new(Plan::default()).await;
    let mut good = world.pos().await;
    good.echo(0).await;
    let endless = [b"TR1 D sealed\nindex=1\npayload=".as_slice(), &b"A".repeat(20_000)].concat();
    let cases: &[(&[u8], &str)] = &[
        (b"GET / HTTP/1.1\r\n\r\n", "code=bad-magic\noffset=0\n"),
        (b"\x16\x03\x01\x00\x05", "code=bad-magic\noffset=0\n"),
        (b"TR1 C enrol\r\n\r\n", "code=bad-character\noffset=11\n"),
        (b"TR1 X enrol\nid=1\n\n", "code=bad-kind\noffset=4\n"),
        (
            b"TR1 D sealed\nindex=1\npayload=A\n\n",
            "code=bad-base64\nkey=payload\n",
        ),
        (
            b"TR1 D sealed\nindex=01\npayload=AAAA\n\n",
            "code=bad-integer\nkey=index\n",
        ),
        (
            b"TR1 D sealed\npayload=AAAA\nindex=1\n\n",
            "code=key-order\nkey=index\n",
        ),
        (
            b"TR1 D sealed\n!evil=1\nindex=1\npayload=AAAA\n\n",
            "code=unknown-field\nkey=!evil\n",
        ),
        (b"TR1 C authorise\nid=1\n\n", "code=unknown-verb\noffset=4\n"),
        (&endless, "code=frame-too-long\noffset=8192\n"),
        // What only gateway or backend say.
        (b"TR1 I via\nchannel=1\n\n", "code=unknown-verb\noffset=4\n"),
        (b"TR1 I closed\nchannel=1\n\n", "code=unknown-verb\n"),
        (b"TR1 I error\ncode=busy\n\n", "code=out-of-place\n"),
    ];
    for (number, (bytes, answer)) in (1..).zip(cases) {
        let mut bad = world.pos().await;
        // The gateway may close before all is written.
        let _ = bad.try_send(bytes).await;
        let said = bad.receive().await.unwrap_or_default();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        assert!(
            said.starts_with(&format!("TR1 I error\n{answer}")),
            "{shown:?} was answered {said:?}"
        );
        assert_eq!(bad.receive().await, None, "{shown:?} closes the connection");
        logged(&[&bad.address.to_string(), "closed a device for a"]).await;
        good.echo(number).await;
    }
    assert_eq!(world.uplink.connects(), 1, "the link outlives what devices send");
    assert_eq!(world.metrics.forwarded.get(), 14);
}

#[tokio::test]
async fn half_a_frame_a_slow_drip_silence_and_no_handshake_end_by_time() {
    let (world, _backend) = World::new(Plan {
        limits: short(),
        ..Plan::default()
    })
    .await;
    let mut good = world.pos().await;
    let keep_alive = async {
        for index in 0..12 {
            good.echo(index).await;
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    };
    let half = async {
        let mut half = world.pos().await;
        half.send(b"TR1 D sealed\nindex=1\npay").await;
        let said = half.receive().await.unwrap();
        assert!(
            said.starts_with("TR1 I error\ncode=incomplete\noffset=24\n"),
            "{said:?}"
        );
        assert_eq!(half.receive().await, None);
    };
    let drip = async {
        let mut drip = world.pos().await;
        for octet in sealed(1).bytes() {
            if drip.try_send(&[octet]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(drip.receive().await.is_none_or(|said| said.contains("code=incomplete")));
        logged(&[&drip.address.to_string(), "incomplete"]).await;
    };
    let silent = async {
        let mut silent = world.pos().await;
        assert_eq!(silent.receive().await, None);
        logged(&[&silent.address.to_string(), "silent for too long"]).await;
    };
    let mute = async {
        let mute = TcpStream::connect(world.gateway).await.unwrap();
        logged(&[
            &mute.local_addr().unwrap().to_string(),
            "no TLS handshake within 300 ms",
        ])
        .await;
    };
    let noise = async {
        let mut noise = TcpStream::connect(world.gateway).await.unwrap();
        noise.write_all(b"TR1 D sealed\n\n").await.unwrap();
        logged(&[
            &noise.local_addr().unwrap().to_string(),
            "not an acceptable TLS 1.3 handshake",
        ])
        .await;
    };
    tokio::join!(keep_alive, half, drip, silent, mute, noise);
    assert_eq!(world.metrics.timed_out.get(), 3);
}

#[tokio::test]
async fn a_thousand_tiny_frames_are_held_to_the_rate() {
    let mut limits = Limits::default();
    limits.frames_per_second = 2_000;
    limits.frame_burst = 10;
    let (world, _backend) = World::new(Plan {
        limits,
        ..Plan::default()
    })
    .await;
    let mut good = world.pos().await;
    let (mut fast, start) = (world.pos().await, tr_net::clock::instant());
    let flood = async {
        let many: String = (0..1_000).map(|_| "TR1 D sealed\nindex=1\npayload=AAAA\n\n").collect();
        fast.send(many.as_bytes()).await;
        for _ in 0..1_000 {
            assert!(fast.receive().await.is_some());
        }
        start.elapsed()
    };
    let calm = async {
        for index in 0..20 {
            let asked = tr_net::clock::instant();
            good.echo(index).await;
            assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (took, ()) = tokio::join!(flood, calm);
    assert!(
        took >= Duration::from_millis(490),
        "990 frames at 2,000 a second took {took:?}"
    );
    assert!(world.metrics.throttled.get() > 0);
}

#[tokio::test]
async fn a_device_that_does_not_read_is_cut_off_and_stalls_nobody() {
    let ca = Ca::new();
    // Answers each frame with 400 large ones: 3 MB, more than sockets hold.
    let behave = |mut device: link::Device| async move {
        let large = format!("TR1 D sealed\nindex=1\npayload={}\n\n", "AAAA".repeat(2_000));
        while let Some(frame) = device.next_frame().await {
            let count = if frame.starts_with(b"TR1 D sealed\nindex=666\n") {
                400
            } else {
                0
            };
            for _ in 0..count {
                let _ = device.answers.send(large.as_bytes()).await;
            }
            let _ = device.answers.send(&frame).await;
        }
    };
    let (address, _backend) = backend(&ca, loopback(), Plan::default().link, behave).await;
    let world = World::with(
        ca,
        Plan {
            limits: short(),
            backend: Some(address),
            ..Plan::default()
        },
    )
    .await;
    world.link_up().await;
    let (mut good, mut slow) = (world.pos().await, world.pos().await);
    slow.send(sealed(666).as_bytes()).await;
    for index in 0..20 {
        good.echo(index).await;
    }
    eventually(|| (world.metrics.cut_off.get() == 1).then_some(()))
        .await
        .expect("it is cut off");
    logged(&[&slow.address.to_string(), "does not read its answers"]).await;
    good.echo(21).await;
    assert_eq!(world.uplink.connects(), 1);
}

#[tokio::test]
async fn a_backend_task_that_hangs_or_panics_costs_its_own_device_alone() {
    let ca = Ca::new();
    let behave = |mut device: link::Device| async move {
        while let Some(frame) = device.next_frame().await {
            match frame.as_slice() {
                text if text.starts_with(b"TR1 D sealed\nindex=13\n") => panic!("on purpose"),
                text if text.starts_with(b"TR1 D sealed\nindex=14\n") => core::future::pending().await,
                text if text.starts_with(b"TR1 D sealed\nindex=15\n") => return,
                _ => drop(device.answers.send(&frame).await),
            }
        }
    };
    let mut plan = Plan::default();
    plan.link.drain = Duration::from_millis(100);
    let (address, backend) = backend(&ca, loopback(), plan.link.clone(), behave).await;
    plan.backend = Some(address);
    let world = World::with(ca, plan).await;
    world.link_up().await;
    let mut good = world.pos().await;
    for index in [13, 15] {
        let mut bad = world.pos().await;
        bad.send(sealed(index).as_bytes()).await;
        assert_eq!(bad.receive().await, None, "the backend ended the channel");
        good.echo(1).await;
    }
    let mut hung = world.pos().await;
    for _ in 0..12 {
        hung.send(sealed(14).as_bytes()).await;
    }
    assert_eq!(hung.receive().await.as_deref(), Some("TR1 I error\ncode=busy\n\n"));
    good.echo(2).await;
    // Even the hanging task does not keep the backend from ending.
    backend.stop().await;
}

#[tokio::test]
async fn connections_are_limited_by_address_and_number() {
    let mut plan = Plan::default();
    plan.limits.connections_per_ip = 2;
    let (world, _backend) = World::new(plan).await;
    let (mut first, second) = (world.pos().await, world.pos().await);
    assert!(world.device(Role::ClassPos).await.is_err());
    first.echo(1).await;
    drop(second);
    let freed = async {
        loop {
            if let Ok(client) = world.device(Role::ClassPos).await {
                return client;
            }
        }
    };
    let mut third = tokio::time::timeout(crate::world::SOON, freed)
        .await
        .expect("a place is free again");
    third.echo(2).await;

    let mut plan = Plan::default();
    plan.addresses.deny.push("127.0.0.0/8".parse().unwrap());
    let (denied, _backend) = World::new(plan).await;
    assert!(denied.device(Role::ClassPos).await.is_err());
    assert_eq!(denied.metrics.refused_admission.get(), 1);
    assert_eq!(denied.metrics.refused_tls.get(), 0, "no handshake was begun");
}
