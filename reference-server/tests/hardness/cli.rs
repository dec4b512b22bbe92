//! The command line as people meet it: help, colours, languages, exit codes, and the commands that need no network.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::site::{PROGRAM, Ran, Site, field};

fn bare(arguments: &[&str]) -> Ran {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TR_NET_")) {
        command.env_remove(name);
    }
    Ran::from(command.args(arguments).stdin(Stdio::null()).output().unwrap())
}

/// Every command and its own subcommands, as the program lists them.
fn all_commands(prefix: &[String], found: &mut Vec<Vec<String>>) {
    let mut arguments: Vec<&str> = prefix.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = bare(&arguments);
    assert_eq!(help.code, 0, "{arguments:?}: {help:?}");
    assert!(help.out.contains("Usage: tr-net") && help.err.is_empty(), "{help:?}");
    found.push(prefix.to_vec());
    let Some((_, list)) = help.out.split_once("\nCommands:\n") else {
        return;
    };
    for line in list.lines().take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap();
        if line.starts_with("  ") && !line.starts_with("   ") && name != "help" {
            let mut next = prefix.to_vec();
            next.push(name.to_owned());
            all_commands(&next, found);
        }
    }
}

#[test]
fn every_command_has_help() {
    let mut found = Vec::new();
    all_commands(&[], &mut found);
    let found: Vec<String> = found.iter().map(|words| words.join(" ")).collect();
    for command in [
        "demo",
        "init",
        "backend",
        "gateway",
        "company add",
        "shop add",
        "card issue",
        "card load",
        "enrol voucher",
        "enrol pos",
        "pos swipe",
        "pos retry",
        "pos reverse",
        "pos status",
        "pos balance",
        "track decode",
        "ledger",
        "verify-receipt",
    ] {
        assert!(
            found.iter().any(|name| name == command),
            "no help for `{command}`: {found:?}"
        );
    }
}

#[test]
fn wrong_usage_ends_with_two_and_a_hint() {
    for arguments in [
        &[][..],
        &["fly"],
        &["pos", "swipe"],
        &["pos", "swipe", "--wav", "x", "--amount", "1", "--language", "fr"],
        &["ledger", "--jsn"],
        &["card", "issue", "--company", "many"],
        &["--log-format", "xml", "ledger"],
    ] {
        let ran = bare(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("Usage") || ran.err.contains("--help"), "{ran:?}");
        assert!(ran.out.is_empty(), "{ran:?}");
    }
}

#[test]
fn colours_appear_on_a_terminal_only() {
    let folder = tempfile::tempdir().unwrap();
    let plain = bare(&["--help"]);
    assert!(!plain.out.contains('\x1b'), "{plain:?}");
    let receipt = folder.path().join("x");
    fs::write(&receipt, "x").unwrap();

    let site = Site::new();
    let ledger = site.run(&["ledger", "--log", "debug"]);
    assert!(
        !ledger.out.contains('\x1b') && !ledger.err.contains('\x1b'),
        "{ledger:?}"
    );

    // `script` gives the program a terminal; it is part of util-linux, which is on every Linux that people use.
    let on_terminal = |line: &str, no_color: bool| {
        let mut command = Command::new("script");
        command
            .args(["-qec", line, "/dev/null"])
            .stdin(Stdio::null())
            .env("TERM", "xterm");
        command.env_remove("NO_COLOR");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        command
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let line = format!("{PROGRAM} --help");
    match on_terminal(&line, false) {
        Ok(shown) => {
            assert!(shown.contains('\x1b'), "{shown}");
            let shown = on_terminal(&line, true).unwrap();
            assert!(!shown.contains('\x1b'), "{shown}");
        }
        Err(error) => eprintln!("no terminal was tried: `script` does not run ({error})"),
    }
}

fn recording(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tr-track/tests/data");
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_real_iso_card_is_decoded_to_its_fields() {
    let expected = fs::read_to_string(recording("safeway-card.expected.txt")).unwrap();
    for name in ["safeway-card.MAG", "safeway-card.flux.csv"] {
        let ran = bare(&["track", "decode", &recording(name)]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let text = field(&ran.out, "text");
        assert!(expected.contains(&text), "{text} is not in {expected}");
        assert!(ran.out.contains("confidence") && ran.out.contains("LRC"), "{ran:?}");
    }
}

#[test]
fn real_recordings_that_are_no_iso_cards_are_shown_as_bits_with_a_confidence() {
    for name in [
        "metrocard--08card.wav",
        "metrocard-7D.wav",
        "metrocard-nyu.wav",
        "metrocard-unlimited.wav",
        "metrocardat.wav",
        "new_metrocard-ezpay.wav",
    ] {
        let ran = bare(&["track", "decode", &recording(name)]);
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        assert!(
            ran.out.contains("F2F bits, confidence") && ran.out.contains('%'),
            "{name}: {ran:?}"
        );
        assert!(ran.out.contains("no ISO/IEC 7811 frame"), "{name}: {ran:?}");
        let bits = ran
            .out
            .lines()
            .find_map(|line| line.split_once(" bits  "))
            .unwrap()
            .1
            .trim();
        assert!(
            bits.len() > 100 && bits.bytes().all(|bit| bit == b'0' || bit == b'1'),
            "{name}: {bits}"
        );
    }
}

#[test]
fn our_own_swipe_is_decoded_to_the_tracks_that_were_issued() {
    let site = Site::new();
    let shown = site.ok(&["track", "decode", &site.path("card.wav")]);
    assert!(shown.contains("channel 1: ISO/IEC 7813 track 1"), "{shown}");
    assert!(shown.contains("channel 2: ISO/IEC 7813 track 2"), "{shown}");
    assert!(
        shown.contains(&site.facts.track1) && shown.contains(&site.facts.track2),
        "{shown}"
    );
    assert!(shown.contains("name            DOE/JANE"), "{shown}");
}

#[test]
fn what_is_no_recording_is_refused_in_one_line() {
    let site = Site::new();
    let wav = fs::read(site.file("card.wav")).unwrap();
    fs::write(site.file("torn.wav"), &wav[..wav.len() / 3]).unwrap();
    fs::write(site.file("head.wav"), &wav[..20]).unwrap();
    fs::write(site.file("text.wav"), "this is a letter").unwrap();
    fs::write(site.file("empty.wav"), "").unwrap();
    for name in ["missing.wav", "head.wav", "text.wav", "empty.wav", "data"] {
        site.run(&["track", "decode", &site.path(name)]).refused(&[name]);
    }
    // Half a recording may still read as bits; it must never read as this card.
    let torn = site.run(&["track", "decode", &site.path("torn.wav")]);
    assert!(!torn.out.contains(&site.facts.track2), "{torn:?}");
}

#[test]
fn a_receipt_proves_its_sale_and_nothing_else() {
    let site = Site::new();
    let servers = site.serve();
    let receipt = site.path("sale.receipt");
    site.ok(&[
        "pos",
        "swipe",
        "--wav",
        &site.path("card.wav"),
        "--amount",
        "12.50",
        "--receipt",
        &receipt,
    ]);
    drop(servers);
    let root = &site.facts.root;
    let shown = site.ok(&["verify-receipt", &receipt, "--root", root]);
    for words in ["outcome    approved", "amount     12.50 USD", "OK"] {
        assert!(shown.contains(words), "{shown}");
    }

    // Offline, and with nothing of the network: the receipt and the root's fingerprint are enough.
    let ran = bare(&["verify-receipt", &receipt, "--root", &root.to_uppercase()]);
    assert_eq!(ran.code, 0, "{ran:?}");

    let other_root = "00".repeat(32);
    site.run(&["verify-receipt", &receipt, "--root", &other_root])
        .refused(&["proves nothing", "root"]);
    for wrong in ["", "00", &root[1..], &format!("{}g", &root[1..])] {
        site.run(&["verify-receipt", &receipt, "--root", wrong])
            .refused(&["64 hexadecimal digits"]);
    }
    site.run(&["verify-receipt", &site.path("none"), "--root", root])
        .refused(&["none"]);
    fs::write(site.file("letter"), "Dear Sir,\nplease find no receipt.\n").unwrap();
    site.run(&["verify-receipt", &site.path("letter"), "--root", root])
        .refused(&["no receipt"]);
    fs::write(site.file("binary"), [0xff, 0xfe, 0]).unwrap();
    site.run(&["verify-receipt", &site.path("binary"), "--root", root])
        .refused(&["binary"]);
}

#[test]
fn a_receipt_altered_in_any_byte_is_refused() {
    let site = Site::new();
    let servers = site.serve();
    site.ok(&[
        "pos",
        "swipe",
        "--wav",
        &site.path("card.wav"),
        "--amount",
        "12.50",
        "--receipt",
        &site.path("sale.receipt"),
    ]);
    drop(servers);
    let root = tr_net::pos::parse_fingerprint(&site.facts.root).unwrap();
    let receipt = fs::read(site.file("sale.receipt")).unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).ok();
    assert!(tr_net::receipt::verify(&text(receipt.clone()).unwrap(), &root).is_ok());
    for at in 0..receipt.len() {
        // The lowest bit, so that what was text stays text.
        let mut altered = receipt.clone();
        altered[at] ^= 1;
        let held = text(altered).is_some_and(|text| tr_net::receipt::verify(&text, &root).is_ok());
        assert!(!held, "octet {at} of {} can be altered", receipt.len());
    }
    // A file without its last line end says the same.
    for length in 0..receipt.len() - 1 {
        let held = text(receipt[..length].to_vec()).is_some_and(|text| tr_net::receipt::verify(&text, &root).is_ok());
        assert!(!held, "the first {length} octets are taken for all of it");
    }
    // And once through the program.
    let mut altered = receipt.clone();
    let at = receipt.windows(5).position(|word| word == b"1250\n").unwrap();
    altered[at] = b'9';
    fs::write(site.file("altered"), altered).unwrap();
    site.run(&["verify-receipt", &site.path("altered"), "--root", &site.facts.root])
        .refused(&["altered", "proves nothing"]);
}

#[test]
fn exit_codes_tell_how_a_sale_ended() {
    let site = Site::new();
    let (backend, gateway) = site.serve();
    let sold = site.pay("7.25");
    assert_eq!(sold.code, 0, "{sold:?}");
    assert!(sold.out.starts_with("APPROVED 7.25 USD"), "{sold:?}");
    // More than one sale may take: declined, with the rule and what would go.
    let declined = site.pay("26.00");
    assert_eq!(declined.code, 3, "{declined:?}");
    assert!(
        declined.out.contains("DECLINED") && declined.out.contains("would be approved"),
        "{declined:?}"
    );
    assert!(declined.err.is_empty(), "{declined:?}");

    // The network is gone before anything was sent: nothing is pending, nothing unknown.
    gateway.stop();
    let unreached = site.pay("1.00");
    unreached.refused(&["cannot be reached", &site.gateway.to_string()]);
    assert_eq!(site.run(&["pos", "retry"]).out, "no command waits for an answer\n");
    backend.stop();
}

#[test]
fn an_unknown_outcome_ends_with_four_until_the_network_is_back() {
    let site = Site::new();
    let _backend = site.start("backend", &[]);
    let gateway = site.start("gateway", &[]);
    // The gateway dies when the terminal has stored its command: it goes on to send it, and nobody answers.
    let halted = site.file("halted");
    let mut command = site.command(&["pos", "swipe", "--wav", &site.path("card.wav"), "--amount", "5.00"]);
    command
        .env("TR_NET_HALT_AT", "command-stored")
        .env("TR_NET_HALT_FILE", &halted);
    let mut pos = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    crate::site::eventually("the command is stored", || halted.exists());
    pos.kill().unwrap();
    pos.wait().unwrap();
    drop(gateway);

    let unknown = site.run(&["pos", "retry"]);
    assert_eq!(unknown.code, 4, "{unknown:?}");
    assert!(
        unknown.out.contains("NO ANSWER YET") && unknown.err.lines().count() == 1,
        "{unknown:?}"
    );
    let other = site.pay("1.00");
    other.refused(&["tr-net pos retry"]);
    let unknown = site.run(&["pos", "retry", "--language", "es"]);
    assert_eq!(unknown.code, 4, "{unknown:?}");
    assert!(unknown.out.contains("AÚN SIN RESPUESTA"), "{unknown:?}");

    let _gateway = site.start("gateway", &[]);
    let settled = site.run(&["pos", "retry"]);
    assert_eq!(settled.code, 0, "{settled:?}");
    assert!(settled.out.contains("APPROVED 5.00 USD"), "{settled:?}");
    let nothing = site.run(&["pos", "retry"]);
    assert_eq!(
        (nothing.code, nothing.out.as_str()),
        (0, "no command waits for an answer\n")
    );
}

#[test]
fn a_cashier_is_spoken_to_in_spanish() {
    let site = Site::new();
    let _servers = site.serve();
    let wav = site.path("card.wav");
    let said = |arguments: &[&str]| site.run(&[arguments, &["--language", "es"]].concat());
    let sold = said(&["pos", "swipe", "--wav", &wav, "--amount", "5.00"]);
    assert!(sold.code == 0 && sold.out.starts_with("APROBADO 5.00 USD"), "{sold:?}");
    let declined = said(&["pos", "swipe", "--wav", &wav, "--amount", "99.00"]);
    assert!(
        declined.code == 3 && declined.out.starts_with("DENEGADO."),
        "{declined:?}"
    );
    assert!(declined.out.contains("Supera el máximo de una venta."), "{declined:?}");
    let balance = said(&["pos", "balance", "--wav", &wav]);
    assert!(
        balance.code == 0 && balance.out.contains("SALDO 195.00 USD"),
        "{balance:?}"
    );
    // By the environment as well, as a whole shop would set it.
    let mut command = site.command(&["pos", "balance", "--wav", &wav]);
    let balance = Ran::from(command.env("TR_NET_LANGUAGE", "es").output().unwrap());
    assert!(balance.out.contains("SALDO"), "{balance:?}");
    fs::write(site.file("torn.wav"), "x").unwrap();
    said(&["pos", "swipe", "--wav", &site.path("torn.wav"), "--amount", "5.00"]).refused(&["TARJETA NO LEÍDA"]);
}
