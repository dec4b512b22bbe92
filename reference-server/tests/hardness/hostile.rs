//! Clients that mean harm, or are broken: they are cut off, and everybody else goes on paying.

use core::time::Duration;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;

use tr_protocol::frame::MAX_FRAME;

use crate::site::{Server, Site};
use crate::stranger::{Stranger, class_config};

/// Pays once, as a shop would meanwhile, and sees that nobody minded the others.
#[track_caller]
fn pays(site: &Site) {
    let sold = site.pay("0.50");
    assert_eq!(sold.code, 0, "{sold:?}");
    assert!(sold.out.starts_with("APPROVED 0.50 USD"), "{sold:?}");
}

#[track_caller]
fn unharmed(servers: &(Server, Server)) {
    for server in [&servers.0, &servers.1] {
        let log = server.log();
        assert!(!log.contains("panicked"), "{log}");
        assert!(server.is_running(), "{log}");
    }
}

/// What the system lets the process keep in memory, in octets.
fn memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

#[test]
fn octets_that_are_no_tls_end_their_own_connection_alone() {
    let site = Site::new();
    let servers = site.serve();
    for octets in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"TR1 C authenticate\nid=1\n\n",
        &[0; 5000],
        &[0xff; 5000],
        &[0x16, 0x03, 0x01, 0xff, 0xff],
    ] {
        for port in [site.gateway, site.backend] {
            let mut stream = TcpStream::connect(port).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            // It may be closed while we still write.
            let _ = stream.write_all(octets);
            let _ = stream.shutdown(Shutdown::Write);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.len() < 64, "not more than an alert: {rest:?}");
        }
    }
    pays(&site);
    unharmed(&servers);
}

#[test]
fn malformed_frames_are_answered_once_and_closed() {
    let site = Site::new();
    let servers = site.serve();
    pays(&site);
    let config = class_config(&site);
    let long_line = [&b"TR1 D sealed\nindex="[..], &[b'1'; MAX_FRAME]].concat();
    let many_lines = [&b"TR1 D sealed\n"[..], &b"x=1\n".repeat(MAX_FRAME / 4)].concat();
    for (what, octets, code) in [
        ("noise", vec![0x80; 300], "code="),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec(), "code="),
        ("another version", b"TR9 C enrol\n\n".to_vec(), "code="),
        (
            "a carriage return",
            b"TR1 D sealed\r\nindex=0\r\n\r\n".to_vec(),
            "code=",
        ),
        (
            "keys out of order",
            b"TR1 D sealed\npayload=AAAA\nindex=0\n\n".to_vec(),
            "code=",
        ),
        ("a verb of the inside", b"TR1 C authorise\nid=1\n\n".to_vec(), "code="),
        ("an unknown verb", b"TR1 C fly\nid=1\n\n".to_vec(), "code="),
        (
            "a message of the link",
            b"TR1 I via\nchannel=1\nclass=pos\npeer=127.0.0.1:1\n\n".to_vec(),
            "code=",
        ),
        (
            "an answer",
            b"TR1 I error\ncode=failed\n\n".to_vec(),
            "code=out-of-place",
        ),
        ("an endless line", long_line, "code="),
        ("endless lines", many_lines, "code="),
    ] {
        let mut client = Stranger::with(Arc::clone(&config), &site).unwrap();
        // The gateway may have closed before all was written.
        let _ = client.stream.write_all(&octets);
        let answer = client.receive().unwrap_or_else(|| panic!("{what}: no answer"));
        assert!(
            answer.starts_with("TR1 I error\n") && answer.contains(code),
            "{what}: {answer}"
        );
        assert_eq!(client.receive(), None, "{what}: the connection ends");
    }
    pays(&site);
    unharmed(&servers);
}

#[test]
fn silence_and_halves_hold_nobody_up() {
    let site = Site::new();
    let servers = site.serve();
    let config = class_config(&site);
    // Silent before TLS, silent after it, half a frame, a frame that drips.
    let _silent: Vec<_> = (0..8).map(|_| TcpStream::connect(site.gateway).unwrap()).collect();
    let mut connected: Vec<_> = (0..8)
        .map(|_| Stranger::with(Arc::clone(&config), &site).unwrap())
        .collect();
    for client in connected.iter_mut().skip(3) {
        client.stream.write_all(b"TR1 D sealed\nindex=").unwrap();
    }
    for drop in *b"123" {
        connected[7].stream.write_all(&[drop]).unwrap();
        pays(&site);
    }
    // Half a frame is waited for, then told and closed; nobody needs to know when.
    let half = connected.pop().unwrap();
    drop(half);
    unharmed(&servers);
    // The backend's port, too, has silent visitors.
    let _silent: Vec<_> = (0..8).map(|_| TcpStream::connect(site.backend).unwrap()).collect();
    pays(&site);
    unharmed(&servers);
}

#[test]
fn an_endless_stream_costs_no_memory() {
    let site = Site::new();
    let servers = site.serve();
    pays(&site);
    let config = class_config(&site);
    let before = memory(&servers.1);
    for _ in 0..4 {
        let mut client = Stranger::with(Arc::clone(&config), &site).unwrap();
        client.stream.write_all(b"TR1 D sealed\npayload=").unwrap();
        let chunk = [b'A'; 16 * 1024];
        let sent = (0..1024)
            .take_while(|_| client.stream.write_all(&chunk).is_ok())
            .count();
        assert!(sent < 1024, "16 MiB were taken");
        // The system may drop the answer with the connection.
        let _ = client.receive();
        assert_eq!(client.receive(), None);
    }
    let grown = memory(&servers.1).saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "the gateway grew by {grown} octets");
    pays(&site);
    unharmed(&servers);
}

#[test]
fn two_hundred_connections_at_once_leave_room_to_pay() {
    let site = Site::new();
    let servers = site.serve();
    let config = class_config(&site);
    let clients: Vec<_> = thread::scope(|scope| {
        let open = |count| {
            let config = &config;
            let site = &site;
            scope.spawn(move || {
                let connect = |_| Stranger::with(Arc::clone(config), site).unwrap();
                (0..count).map(connect).collect::<Vec<_>>()
            })
        };
        let opening: Vec<_> = (0..4).map(|_| open(50)).collect();
        pays(&site);
        opening.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(clients.len(), 200);
    pays(&site);
    // All speak at once, and nonsense.
    for mut client in clients {
        let _ = client.stream.write_all(b"TR1 C nonsense\n\n");
    }
    pays(&site);
    unharmed(&servers);
}

#[test]
fn a_stranger_at_the_administration_socket_is_told_in_one_line() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    let site = Site::new();
    let servers = site.serve();
    let path = site.file("data/backend/admin.sock");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for octets in [
        &b"\n"[..],
        b"not json\n",
        b"{\"card\":{}}\n",
        b"{\"ledger\":null,\"ledger\":null}\n",
        &[0xff, 0xfe, b'\n'],
        b"\"ledger",
    ] {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(octets).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.is_empty() || (answer.starts_with("{\"error\"") && answer.lines().count() == 1),
            "{answer}"
        );
    }
    let _silent: Vec<_> = (0..16).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert!(site.ok(&["ledger"]).contains("sum"));
    pays(&site);
    unharmed(&servers);
}
