//! Nothing secret is written in clear: not in logs, not in what programs print, not in any file. A card's own output, which
//! the operator asked for, is the one exception.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64ct::{Base64Unpadded, Base64UrlUnpadded, Encoding};
use tr_net::{init, swipe, ui};
use tr_pki::voucher::Voucher;

use crate::site::{PASSPHRASE, Site, eventually, field};

/// Something that must turn up nowhere, in one of its forms.
struct Needle {
    what: String,
    octets: Vec<u8>,
}

/// A secret as it is, in hexadecimal, and in base64 wherever it may begin in the encoded octets.
fn forms(what: &str, secret: &[u8], needles: &mut Vec<Needle>) {
    let mut add = |form: &str, octets: Vec<u8>| {
        needles.push(Needle {
            what: format!("{what}, {form}"),
            octets,
        });
    };
    add("as it is", secret.to_vec());
    let hex = ui::hex(secret);
    add("in hexadecimal", hex.to_uppercase().into_bytes());
    add("in hexadecimal", hex.into_bytes());
    for skip in 0..3 {
        // What comes before decides where the groups of three begin; the characters that mix with it are left out.
        let padded = [&[0; 2][..skip], secret].concat();
        let whole = padded.len() / 3 * 3;
        let from = if skip == 0 { 0 } else { 4 };
        for text in [
            Base64Unpadded::encode_string(&padded[..whole]),
            Base64UrlUnpadded::encode_string(&padded[..whole]),
        ] {
            add("in base64", text.as_bytes()[from..].to_vec());
        }
    }
}

/// The places where a needle lies.
fn found(haystack: &[u8], needles: &[Needle]) -> Vec<String> {
    let text = needles.iter().filter(|needle| contains(haystack, &needle.octets));
    text.map(|needle| needle.what.clone()).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let (first, rest) = needle.split_first().unwrap();
    let mut at = 0;
    while let Some(next) = haystack[at..].iter().position(|octet| octet == first) {
        at += next + 1;
        if haystack[at..].starts_with(rest) {
            return true;
        }
    }
    false
}

fn files(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), all);
        } else if kind.is_file() {
            all.push(entry.path());
        }
    }
}

/// Searches every file under the site's folder but recordings of swipes.
fn search(site: &Site, needles: &[Needle], when: &str) -> Vec<String> {
    let mut all = Vec::new();
    files(site.folder.path(), &mut all);
    let mut names = Vec::new();
    for path in all
        .iter()
        .filter(|path| path.extension().is_none_or(|extension| extension != "wav"))
    {
        // A temporary file may have gone.
        let Ok(octets) = fs::read(path) else { continue };
        let name = path.strip_prefix(site.folder.path()).unwrap().display().to_string();
        let found = found(&octets, needles);
        assert!(found.is_empty(), "{when}: {name} holds {found:?}");
        names.push(name);
    }
    names
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let mut needles = Vec::new();
    forms("a number", b"9999001234567890", &mut needles);
    for noise in ["", "a", "ab", "abc"] {
        let clear = format!("{noise}9999001234567890{noise}");
        assert!(!found(clear.as_bytes(), &needles).is_empty());
        assert!(!found(ui::hex(clear.as_bytes()).as_bytes(), &needles).is_empty());
        let encoded = Base64UrlUnpadded::encode_string(clear.as_bytes());
        assert!(!found(encoded.as_bytes(), &needles).is_empty(), "{encoded}");
    }
    assert!(found(b"9999001234567891", &needles).is_empty());
}

#[test]
fn no_secret_is_written_in_a_day_of_business_logged_for_people() {
    a_day("text");
}

#[test]
fn no_secret_is_written_in_a_day_of_business_logged_for_machines() {
    a_day("json");
}

fn a_day(format: &str) {
    let site = Site::new();
    let logging = ["--log", "trace", "--log-format", format];
    let wire = site.path("wire.log");
    let serve = || {
        let backend = site.start("backend", &logging);
        let gateway = site.start("gateway", &[&logging[..], &["--wire-log", &wire]].concat());
        (backend, gateway)
    };
    // Everything that is printed is kept, but for what hands over a card or a voucher.
    let printed = site.file("printed");
    let keep = |ran: &crate::site::Ran, with_output: bool| {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&printed).unwrap();
        if with_output {
            file.write_all(ran.out.as_bytes()).unwrap();
        }
        file.write_all(ran.err.as_bytes()).unwrap();
    };
    let run = |arguments: &[&str]| {
        let ran = site.run(&[arguments, &logging].concat());
        keep(&ran, true);
        ran
    };

    let mut servers = serve();
    let facts = &site.facts;
    // A second card, a second voucher, a second terminal: made while all is logged.
    let spare = site.path("spare.wav");
    let issue = [
        "card",
        "issue",
        "--company",
        &facts.company,
        "--credit",
        "3.00",
        "--wav",
        &spare,
    ];
    let card = site.run(&[&issue[..], &logging].concat());
    keep(&card, false);
    let track1 = card
        .out
        .lines()
        .find_map(|line| line.strip_prefix("track 1  "))
        .unwrap();
    let track2 = field(&card.out, "track 2");
    let handed = site.run(&[&["enrol", "voucher", "--shop", &facts.shop][..], &logging].concat());
    keep(&handed, false);
    let voucher = crate::site::Voucher {
        text: field(&handed.out, "voucher"),
        code: field(&handed.out, "code"),
    };
    let enrolment = site.enrolment("pos2", &voucher);
    run(&enrolment.iter().map(String::as_str).collect::<Vec<_>>());

    let mut needles = Vec::new();
    let mut card = |what: &str, track1: &str, track2: &str| {
        let inside = track2.trim_matches([';', '?']);
        let (pan, rest) = inside.split_once('=').unwrap();
        forms(&format!("PAN of {what}"), pan.as_bytes(), &mut needles);
        forms(&format!("track 1 of {what}"), track1.as_bytes(), &mut needles);
        forms(&format!("track 2 of {what}"), inside.as_bytes(), &mut needles);
        // Expiry and service code are public; what follows them is not.
        forms(
            &format!("discretionary data of {what}"),
            &rest.as_bytes()[7..],
            &mut needles,
        );
    };
    card("the card", &facts.track1, &facts.track2);
    card("the spare card", track1, &track2);
    // A card of our range with a wrong check value, and one of somebody else.
    let forged = format!("{}{}?", &facts.track2[..28], "4242424242");
    let visa = ";4111111111111111=29121011234567890?";
    card("the forged card", "%B^forged^?", &forged);
    card("the foreign card", "%B^foreign^?", visa);
    for (name, track2) in [("forged.wav", forged.as_str()), ("visa.wav", visa)] {
        swipe::write_wav(&site.file(name), "%B4111111111111111^DOE/J^29121011234567890?", track2).unwrap();
    }

    let wav = site.path("card.wav");
    let pay = |pos: &str, wav: &str, amount: &str, more: &[&str]| {
        let arguments = [
            "pos",
            "swipe",
            "--pos",
            &site.path(pos),
            "--wav",
            &site.path(wav),
            "--amount",
            amount,
        ];
        run(&[&arguments[..], more].concat())
    };
    let codes = [
        pay("pos", "card.wav", "5.00", &[]).code,
        pay("pos", "card.wav", "26.00", &[]).code,
        pay("pos2", "spare.wav", "4.00", &["--partial"]).code,
        pay("pos2", "spare.wav", "4.00", &[]).code,
        pay("pos", "forged.wav", "1.00", &[]).code,
        pay("pos", "visa.wav", "1.00", &[]).code,
        run(&["pos", "balance", "--wav", &wav]).code,
        run(&["pos", "status", "--id", "2"]).code,
        run(&["pos", "reverse", "--id", "2"]).code,
        run(&["pos", "reverse", "--id", "1"]).code,
        run(&["ledger"]).code,
        run(&["ledger", "--json"]).code,
    ];
    assert_eq!(codes, [0, 3, 0, 3, 3, 3, 0, 0, 0, 0, 0, 0]);
    // Errors: a torn card, a wrong amount, a wrong passphrase, a mistyped and a used voucher, a wrong code.
    let whole = fs::read(&wav).unwrap();
    fs::write(site.file("torn.wav"), &whole[..whole.len() / 2]).unwrap();
    pay("pos", "torn.wav", "1.00", &[]);
    pay("pos", "card.wav", "1,00", &[]);
    let mut wrong = site.command(&[&["ledger"][..], &logging].concat());
    keep(&wrong.env("TR_NET_PASSPHRASE", "falsch").output().unwrap().into(), true);
    for (pos, at) in [("pos3", "--voucher"), ("pos4", "--code"), ("pos5", "")] {
        let mut again = site.enrolment(pos, &voucher);
        if let Some(at) = again.iter().position(|word| word == at) {
            again[at + 1].push('X');
        }
        let ran = run(&again.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ran.code, 1, "{ran:?}");
    }

    for (what, voucher) in [
        ("the voucher", &voucher),
        ("an unused voucher", &facts.voucher),
        ("a used one", &facts.used),
    ] {
        let parsed = Voucher::parse(&voucher.text).unwrap();
        forms(&format!("text of {what}"), voucher.text.as_bytes(), &mut needles);
        forms(&format!("secret of {what}"), parsed.secret(), &mut needles);
    }
    forms("passphrase", PASSPHRASE.as_bytes(), &mut needles);
    forms("handout code", voucher.code.as_bytes(), &mut needles);
    let bundle = fs::read(site.file("data/handout/pos-class.p12")).unwrap();
    let handout = init::open_handout(&bundle, &voucher.code).unwrap();
    forms("class key", handout.scalar.as_slice(), &mut needles);

    let names = search(&site, &needles, "while all runs");
    for name in [
        "backend.err",
        "gateway.err",
        "wire.log",
        "printed",
        "data/backend/ledger.db-wal",
        "pos/pos.memory",
    ] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} was not searched: {names:?}"
        );
    }
    assert!(names.iter().any(|name| name.starts_with("pos/receipts/")), "{names:?}");

    // The logs were not silent, so the search was not in vain.
    for name in ["backend.err", "gateway.err"] {
        let log = fs::read_to_string(site.file(name)).unwrap();
        assert!(log.lines().count() > 20, "{name}: {log}");
        let json = log.lines().all(|line| line.starts_with("{\"timestamp\""));
        assert_eq!(json, format == "json", "{name}: {log}");
    }

    // A sale is stored in the terminal's memory when its power fails; the network's fails too.
    let halted = site.file("halted");
    let swipe = ["pos", "swipe", "--wav", &wav, "--amount", "2.00"];
    let mut command: Command = site.command(&[&swipe[..], &logging].concat());
    command
        .env("TR_NET_HALT_AT", "command-stored")
        .env("TR_NET_HALT_FILE", &halted);
    let (out, err) = (site.file("pos.out"), site.file("pos.err"));
    command
        .stdout(fs::File::create(out).unwrap())
        .stderr(fs::File::create(err).unwrap());
    let mut pos = command.stdin(Stdio::null()).spawn().unwrap();
    eventually("the command is stored", || halted.exists());
    pos.kill().unwrap();
    pos.wait().unwrap();
    drop(servers);
    search(&site, &needles, "after the power failed");

    let ledger_key = {
        let store = site.backend_keys();
        *init::k_db(&site.data(), &store).unwrap()
    };
    forms("K_DB", &ledger_key, &mut needles);
    servers = serve();
    assert_eq!(run(&["pos", "retry"]).code, 0);
    servers.1.stop();
    servers.0.stop();
    search(&site, &needles, "after all has ended");

    // The recording that was asked for is its owner's alone.
    let mode = fs::metadata(&spare).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
