//! Broken data, a hostile environment, hands that slip: one clear line that says what and what to do, a status that is not
//! zero, and nothing changed.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::site::{PASSPHRASE, PROGRAM, Ran, Site, set};

/// Runs what must be refused with one line that has all of `words`, and sees that it changed nothing.
#[track_caller]
fn refused(site: &Site, arguments: &[&str], words: &[&str]) {
    let before = site.content();
    site.run(arguments).refused(words);
    assert_eq!(before, site.content(), "{arguments:?} changed something");
}

fn alter(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut octets = fs::read(path).unwrap();
    change(&mut octets);
    fs::write(path, octets).unwrap();
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let site = Site::new();
    let before = site.content();
    let wav = site.path("card.wav");
    for (arguments, file) in [
        (&["backend"][..], "backend.keys"),
        (&["gateway"], "gateway.keys"),
        (&["ledger"], "backend.keys"),
        (&["pos", "swipe", "--wav", &wav, "--amount", "1.00"], "pos.keys"),
        (&["pos", "retry"], "pos.keys"),
    ] {
        let mut command = site.command(arguments);
        let ran = Ran::from(command.env("TR_NET_PASSPHRASE", "Sesam").output().unwrap());
        ran.refused(&["passphrase is wrong", file]);
        assert!(!ran.err.contains("Sesam"), "{ran:?}");
    }
    assert_eq!(before, site.content());
}

#[test]
fn a_passphrase_is_needed_and_its_file_is_the_owners_alone() {
    let site = Site::new();
    let run = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        Ran::from(command.env_remove("TR_NET_PASSPHRASE").output().unwrap())
    };
    run(&["ledger"]).refused(&["no passphrase", "--passphrase-file", "TR_NET_PASSPHRASE"]);
    let file = site.path("passphrase");
    fs::write(&file, format!("{PASSPHRASE}\n")).unwrap();
    for mode in [0o640, 0o604, 0o666] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        run(&["ledger", "--passphrase-file", &file]).refused(&["may be read by others", "chmod 600", &file]);
    }
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let ran = run(&["ledger", "--passphrase-file", &file]);
    assert_eq!(ran.code, 0, "{ran:?}");
    run(&["ledger", "--passphrase-file", &site.path("none")]).refused(&["cannot read the passphrase file"]);
    for (content, words) in [
        (String::new(), "empty"),
        ("\n".to_owned(), "empty"),
        ("x".repeat(2000), "longer than"),
    ] {
        fs::write(&file, content).unwrap();
        run(&["ledger", "--passphrase-file", &file]).refused(&[words]);
    }
    fs::write(&file, [0xff, 0xfe]).unwrap();
    run(&["ledger", "--passphrase-file", &file]).refused(&["passphrase file", &file]);
}

#[test]
fn data_that_others_may_enter_is_refused() {
    let site = Site::new();
    let data = site.path("data");
    for mode in [0o750, 0o705, 0o777] {
        fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();
        for command in ["backend", "gateway", "ledger"] {
            refused(&site, &[command], &["may be entered by others", "chmod 700", &data]);
        }
    }
}

#[test]
fn one_backend_and_one_administrator_at_a_time() {
    let site = Site::new();
    let (backend, _gateway) = site.serve();
    let before = site.content();
    site.run(&["backend"]).refused(&["in use by another process"]);
    site.run(&["gateway"]).refused(&["in use"]);
    assert_eq!(before, site.content());
    // The first ones are none the worse for it.
    assert_eq!(site.pay("1.00").code, 0);
    backend.stop();

    // Without a backend, an administrator that has the store keeps others out.
    let held = site.backend_keys();
    refused(&site, &["ledger"], &["in use by another process"]);
    drop(held);
    assert_eq!(site.run(&["ledger"]).code, 0);
}

#[test]
fn two_administrators_at_once_do_not_mix() {
    let site = Site::new();
    let start = |name: &str| {
        let mut command = site.command(&["company", "add", name]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = ["One", "Two", "Three", "Four"].map(start).into_iter().collect();
    let ran: Vec<Ran> = running
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().into())
        .collect();
    let done = ran.iter().filter(|ran| ran.code == 0).count();
    assert!(done >= 1, "{ran:?}");
    for other in ran.iter().filter(|ran| ran.code != 0) {
        other.refused(&["in use by another process"]);
    }
    let ledger = site.ok(&["ledger"]);
    assert!(ledger.contains("sum                              0.00"), "{ledger}");
}

/// What a command says of a file that was altered in one way or another.
fn each_alteration(name: &str, commands: &[&[&str]], words: &[&str]) {
    let site = Site::new();
    let path = site.file(name);
    let whole = fs::read(&path).unwrap();
    let last = whole.len() - 1;
    for (what, altered) in [
        ("empty", Vec::new()),
        ("truncated by one", whole[..last].to_vec()),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("octet 20", flipped(&whole, 20)),
        ("an octet in the middle", flipped(&whole, whole.len() / 2)),
        ("last octet", flipped(&whole, last)),
        ("longer", [&whole[..], b"x"].concat()),
        ("something else", b"Dear Sir, please find no key.".repeat(20)),
    ] {
        fs::write(&path, altered).unwrap();
        for arguments in commands {
            eprintln!("{name}, {what}: {arguments:?}");
            refused(&site, arguments, words);
        }
    }
    fs::remove_file(&path).unwrap();
    for arguments in commands {
        eprintln!("{name}, missing: {arguments:?}");
        refused(&site, arguments, words);
    }
}

fn flipped(octets: &[u8], at: usize) -> Vec<u8> {
    let mut octets = octets.to_vec();
    octets[at] ^= 0x40;
    octets
}

#[test]
fn an_altered_key_store_of_the_backend_is_refused() {
    each_alteration("data/backend/backend.keys", &[&["backend"]], &["backend.keys"]);
}

#[test]
fn an_altered_key_store_of_the_gateway_is_refused() {
    each_alteration("data/gateway/gateway.keys", &[&["gateway"]], &["gateway.keys"]);
}

#[test]
fn an_altered_data_key_is_refused() {
    each_alteration(
        "data/backend/k-db.wrapped",
        &[&["ledger"]],
        &["k-db.wrapped", "restore"],
    );
}

#[test]
fn an_altered_key_store_of_a_terminal_is_refused() {
    each_alteration("pos/pos.keys", &[&["pos", "retry"]], &["pos.keys"]);
}

#[test]
fn an_altered_memory_of_a_terminal_is_refused() {
    each_alteration("pos/pos.memory", &[&["pos", "retry"]], &["pos"]);
}

#[test]
fn an_altered_handout_enrols_nobody() {
    let site = Site::new();
    let arguments = site.enrolment("pos2", &site.facts.voucher);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let path = site.file("data/handout/pos-class.p12");
    let whole = fs::read(&path).unwrap();
    for altered in [
        Vec::new(),
        whole[..whole.len() - 1].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        flipped(&whole, 0),
        flipped(&whole, whole.len() / 2),
        flipped(&whole, whole.len() - 1),
        b"Dear Sir".to_vec(),
    ] {
        fs::write(&path, altered).unwrap();
        refused(&site, &arguments, &["handout"]);
        assert!(!site.file("pos2/pos.keys").exists());
    }
    fs::write(&path, &whole).unwrap();
    let at = arguments.iter().position(|word| *word == "--code").unwrap() + 1;
    let mut wrong = arguments.clone();
    wrong[at] = "AAAAA-BBBBB-CCCCC-DDDDD";
    refused(&site, &wrong, &["handout", "code is wrong"]);
    // What is missing, mistyped or for nobody is told too, and the right one still works.
    let at = arguments.iter().position(|word| *word == "--voucher").unwrap() + 1;
    let mistyped = arguments[at].replacen(
        &arguments[at][..1],
        if arguments[at].starts_with('A') { "B" } else { "A" },
        1,
    );
    let mut wrong = arguments.clone();
    wrong[at] = &mistyped;
    refused(&site, &wrong, &["voucher is mistyped", "group 1"]);
    let servers = site.serve();
    site.ok(&arguments);
    drop(servers);
    // An enrolled terminal is not overwritten.
    refused(&site, &arguments, &["holds an enrolled terminal"]);
}

#[test]
fn an_altered_ledger_is_refused() {
    let site = Site::new();
    let path = site.file("data/backend/ledger.db");
    let whole = fs::read(&path).unwrap();
    let last = whole.len() - 1;
    let page = 4096;
    for (what, altered) in [
        ("empty", Vec::new()),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("truncated by one", whole[..last].to_vec()),
        ("truncated by a page", whole[..whole.len() - page].to_vec()),
        ("salt", flipped(&whole, 3)),
        ("first page", flipped(&whole, 100)),
        ("something else", b"SQLite format 3\0".repeat(600)),
    ] {
        eprintln!("{what}");
        fs::write(&path, altered).unwrap();
        refused(&site, &["backend"], &["ledger.db"]);
    }
    // Any page: found when the file is opened, or when the page is read.
    for at in (page + 50..whole.len()).step_by(3 * page) {
        fs::write(&path, flipped(&whole, at)).unwrap();
        let ran = site.run(&["ledger"]);
        assert!(ran.code != 0, "page {}: {ran:?}", at / page);
        ran.refused(&[]);
    }
    fs::remove_file(&path).unwrap();
    refused(&site, &["ledger"], &["ledger.db"]);
    refused(&site, &["backend"], &["ledger.db"]);
    fs::write(&path, &whole).unwrap();
    assert_eq!(site.run(&["ledger"]).code, 0);
}

#[test]
fn altered_certificates_are_refused_by_name() {
    for (name, command) in [
        ("root", &["ledger"][..]),
        ("issuing-ca", &["ledger"]),
        ("backend", &["ledger"]),
        ("class-backend", &["backend"]),
        ("class-gateway", &["gateway"]),
        ("class-ca", &["gateway"]),
    ] {
        let site = Site::new();
        let path = site.file(&format!("data/certificates/{name}.pem"));
        let whole = fs::read(&path).unwrap();
        for altered in [whole[..whole.len() / 2].to_vec(), vec![0xff; 100]] {
            fs::write(&path, altered).unwrap();
            refused(&site, command, &[&format!("{name}.pem"), "restore"]);
        }
        fs::remove_file(&path).unwrap();
        refused(&site, command, &[&format!("{name}.pem"), "restore"]);
    }
}

#[test]
fn malformed_settings_are_refused_in_one_line() {
    let site = Site::new();
    let path = site.file("data/tr-net.toml");
    let whole = fs::read_to_string(&path).unwrap();
    for (altered, words) in [
        (String::new(), "version"),
        ("]]] nonsense [[[".to_owned(), "tr-net.toml"),
        (whole.replace("version = 1", "version = 2"), "version 2"),
        (whole.replace("version = 1", "version = \"one\""), "expected u32"),
        (format!("colour = \"red\"\n{whole}"), "colour"),
        (whole.replacen("127.0.0.1", "example", 1), "tr-net.toml"),
        (whole.replace("America/New_York", "Moon/Crater"), "Moon/Crater"),
    ] {
        assert_ne!(altered, whole, "the replacement for {words} no longer fits the file");
        fs::write(&path, altered).unwrap();
        for command in ["backend", "gateway", "ledger"] {
            refused(&site, &[command], &["tr-net.toml", words]);
        }
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    refused(&site, &["backend"], &["tr-net.toml"]);
    fs::remove_file(&path).unwrap();
    refused(&site, &["backend"], &["holds no network", "tr-net init"]);
    refused(
        &site,
        &["ledger", "--data", "/nonexistent"],
        &["holds no network", "tr-net init"],
    );

    let pos = site.file("pos/pos.toml");
    let whole = fs::read_to_string(&pos).unwrap();
    for altered in [
        String::new(),
        "gateway = ]".to_owned(),
        whole.replace("version = 1", "version = 9"),
    ] {
        fs::write(&pos, altered).unwrap();
        refused(&site, &["pos", "retry"], &["pos.toml"]);
    }
}

#[test]
fn a_taken_port_is_told_and_what_to_do() {
    let site = Site::new();
    let before = site.content();
    let taken = TcpListener::bind(site.backend).unwrap();
    site.run(&["backend"])
        .refused(&["backend", &site.backend.to_string(), "tr-net.toml"]);
    drop(taken);
    let taken = TcpListener::bind(site.gateway).unwrap();
    site.run(&["gateway"])
        .refused(&["gateway", &site.gateway.to_string(), "tr-net.toml"]);
    drop(taken);
    assert_eq!(before, site.content());
    // An address that this machine does not have.
    set(&site.file("data/tr-net.toml"), "gateway = ", "192.0.2.1:7710");
    refused(&site, &["gateway"], &["192.0.2.1:7710"]);
}

#[test]
fn a_terminal_that_is_not_enrolled_says_so() {
    let site = Site::new();
    let wav = site.path("card.wav");
    for arguments in [
        &["pos", "swipe", "--wav", &wav, "--amount", "1.00"][..],
        &["pos", "retry"],
        &["pos", "status", "--id", "1"],
        &["pos", "reverse", "--id", "1"],
        &["pos", "balance", "--wav", &wav],
    ] {
        let nobody = site.path("nobody");
        refused(
            &site,
            &[arguments, &["--pos", &nobody]].concat(),
            &["no enrolled terminal", "tr-net enrol pos"],
        );
        assert!(!site.file("nobody").exists());
    }
}

#[test]
fn init_keeps_out_of_a_directory_in_use() {
    let site = Site::new();
    refused(&site, &["init"], &["not empty", "--data"]);
    let other = site.file("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter"), "mine").unwrap();
    let other = site.path("other");
    site.run(&["init", "--data", &other]).refused(&["not empty"]);
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
    let letter = format!("{other}/letter");
    site.run(&["init", "--data", &letter]).refused(&["letter", "directory"]);
    assert_eq!(fs::read_to_string(&letter).unwrap(), "mine");
    let under = format!("{letter}/under");
    site.run(&["init", "--data", &under]).refused(&["letter"]);
}

#[test]
fn init_refuses_a_programme_that_contradicts_itself() {
    let site = Site::new();
    let fresh = site.path("fresh");
    for (arguments, words) in [
        (&["--currency", "usd"][..], "`usd` is no currency"),
        (&["--currency", "DOLLAR"], "`DOLLAR` is no currency"),
        (&["--time-zone", "Moon/Crater"], "Moon/Crater"),
        (&["--per-sale", "much"], "`much` is not an amount"),
        (&["--per-day=-1"], "`-1` is not an amount"),
        (&["--per-sale", "50.00", "--per-day", "10.00"], "per"),
    ] {
        site.run(&[&["init", "--data", &fresh], arguments].concat())
            .refused(&[words]);
        assert!(!site.file("fresh").exists(), "{arguments:?} left something behind");
    }
}

#[test]
fn unknown_numbers_and_malformed_amounts_are_refused() {
    let site = Site::new();
    let (company, account) = (site.facts.company.clone(), site.facts.account.clone());
    let huge = u64::MAX.to_string();
    let before = site.ok(&["ledger"]);
    for (arguments, words) in [
        (&["card", "issue", "--company", "1"][..], "no such company"),
        (&["card", "issue", "--company", &huge], "company"),
        (
            &["card", "issue", "--company", &company, "--credit", "ten"],
            "`ten` is not an amount of USD",
        ),
        (
            &["card", "issue", "--company", &company, "--credit", "0.00"],
            "above zero",
        ),
        (
            &["card", "issue", "--company", &company, "--credit", "1.999"],
            "`1.999` is not an amount",
        ),
        (&["card", "issue", "--company", &company, "--name", "ÅSE/ÖRN"], "name"),
        (&["enrol", "voucher", "--shop", "1"], "no such shop"),
        (&["enrol", "voucher", "--shop", &company], "no such shop"),
        (&["enrol", "voucher", "--shop", &huge], "shop"),
        (
            &[
                "card",
                "load",
                "--company",
                &company,
                "--account",
                "1",
                "--amount",
                "5.00",
                "--reference",
                "a",
            ],
            "account",
        ),
        (
            &[
                "card",
                "load",
                "--company",
                "1",
                "--account",
                &account,
                "--amount",
                "5.00",
                "--reference",
                "b",
            ],
            "no such company",
        ),
        (
            &[
                "card",
                "load",
                "--company",
                &company,
                "--account",
                &account,
                "--amount",
                "0",
                "--reference",
                "c",
            ],
            "above zero",
        ),
        (
            &[
                "card",
                "load",
                "--company",
                &company,
                "--account",
                &account,
                "--amount=-5",
                "--reference",
                "d",
            ],
            "`-5` is not an amount",
        ),
        (&["company", "add", ""], "name"),
        (&["shop", "add", "two\nlines"], "name"),
    ] {
        eprintln!("{arguments:?}");
        site.run(arguments).refused(&[words]);
    }
    assert_eq!(before, site.ok(&["ledger"]));
    for arguments in [&["pos", "reverse", "--id", "0"][..], &["pos", "status", "--id", "0"]] {
        refused(&site, arguments, &["1 or more"]);
    }
}

#[test]
fn amounts_and_cards_that_a_terminal_cannot_take_are_refused_before_anything_is_sent() {
    let site = Site::new();
    let servers = site.serve();
    let wav = site.path("card.wav");
    let ledger = || site.ok(&["ledger"]);
    let before = ledger();
    for amount in ["", "1,50", "-1", "1.234", "٣"] {
        let amount = format!("--amount={amount}");
        site.run(&["pos", "swipe", "--wav", &wav, &amount])
            .refused(&["is not an amount of USD", "12.50"]);
    }
    site.run(&["pos", "swipe", "--wav", &wav, "--amount", "0"])
        .refused(&["amount"]);
    // A torn card: cut off in the middle of the swipe.
    alter(&site.file("card.wav"), |octets| {
        let half = octets.len() / 2;
        octets[half..].fill(0);
    });
    site.run(&["pos", "swipe", "--wav", &wav, "--amount", "1.00"])
        .refused(&["CARD NOT READ. Swipe again."]);
    site.run(&["pos", "swipe", "--wav", "/dev/null", "--amount", "1.00"])
        .refused(&["CARD NOT READ"]);
    site.run(&["pos", "swipe", "--wav", &site.path("none.wav"), "--amount", "1.00"])
        .refused(&["none.wav"]);
    let status = site.run(&["pos", "retry"]);
    assert_eq!(status.out, "no command waits for an answer\n");
    assert_eq!(before, ledger());
    drop(servers);
}

#[test]
fn files_that_cannot_be_written_are_told() {
    let site = Site::new();
    refused(
        &site,
        &["gateway", "--wire-log", "/nonexistent/wire"],
        &["wire log", "/nonexistent/wire"],
    );
    let company = &site.facts.company;
    let ledger = site.ok(&["ledger"]);
    let issue = [
        "card",
        "issue",
        "--company",
        company,
        "--credit",
        "5.00",
        "--wav",
        "/nonexistent/card.wav",
    ];
    site.run(&issue).refused(&["/nonexistent/card.wav"]);
    assert_eq!(ledger, site.ok(&["ledger"]));
}

/// A shell line in a mount name space of its own, with a disk of `size` at `$DISK`. Where the system does not allow that, the
/// test fails and says so: it proves nothing there.
#[track_caller]
fn on_small_disk(site: &Site, size: &str, line: &str) -> Ran {
    let disk = site.path("disk");
    fs::create_dir_all(&disk).unwrap();
    let script = format!("mount -t tmpfs -o size={size},mode=700 none '{disk}' || exit 77\n{line}");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", &script]);
    let mut command = site.settled(command, &[]);
    command
        .env("DISK", &disk)
        .env("PROGRAM", PROGRAM)
        .env("SITE", site.folder.path());
    let ran = Ran::from(command.output().unwrap());
    let tried = ran.code != 77 && !ran.err.contains("unshare");
    assert!(
        tried,
        "this system lets nobody mount a small disk (unshare, tmpfs): {}",
        ran.err
    );
    ran
}

#[test]
fn a_full_disk_stops_init_with_one_line() {
    let site = Site::new();
    for size in ["8k", "32k", "64k", "100k"] {
        let line = r#""$PROGRAM" init --data "$DISK/data" >/dev/null; code=$?; ls "$DISK/data"; exit $code"#;
        let ran = on_small_disk(&site, size, line);
        ran.refused(&["data"]);
        assert_eq!(ran.out, "", "{size}: what was half made is gone");
        let told = ["full", "No space left", "no space is left"]
            .iter()
            .any(|words| ran.err.contains(words));
        assert!(told, "{size}: {ran:?}");
    }
}

#[test]
fn a_full_disk_stops_the_administrator_and_changes_nothing() {
    let site = Site::new();
    let line = r#"
        cp -a "$SITE/data" "$DISK/data" || exit 78
        dd if=/dev/zero of="$DISK/ballast" bs=1k 2>/dev/null
        "$PROGRAM" shop add Late --data "$DISK/data" >/dev/null
        code=$?
        rm "$DISK/ballast"
        "$PROGRAM" ledger --data "$DISK/data" || exit 79
        exit $code
    "#;
    let ran = on_small_disk(&site, "600k", line);
    ran.refused(&["ledger.db", "full"]);
    // With room again, the ledger is as it was.
    assert_eq!(ran.out, site.ok(&["ledger"]));
}

#[test]
fn a_full_disk_stops_a_terminal_before_it_sends() {
    let site = Site::new();
    let servers = site.serve();
    let before = site.ok(&["ledger"]);
    let line = r#"
        cp -a "$SITE/pos" "$DISK/pos" || exit 78
        dd if=/dev/zero of="$DISK/ballast" bs=1k 2>/dev/null
        "$PROGRAM" pos swipe --pos "$DISK/pos" --wav "$SITE/card.wav" --amount 5.00 >/dev/null
        code=$?
        rm "$DISK/ballast"
        "$PROGRAM" pos retry --pos "$DISK/pos" || exit 79
        exit $code
    "#;
    let ran = on_small_disk(&site, "64k", line);
    ran.refused(&["pos.memory", "No space left"]);
    assert_eq!(ran.out, "no command waits for an answer\n");
    assert_eq!(before, site.ok(&["ledger"]));
    drop(servers);
}

#[test]
fn a_file_size_limit_stops_init_with_one_line() {
    let site = Site::new();
    // Writes past the limit fail, as on a disk that is full for this file; the signal is ignored, as a service would.
    let mut command = Command::new("bash");
    let script = format!("trap '' XFSZ; ulimit -f 16; exec '{PROGRAM}' init --data \"$FRESH\" >/dev/null");
    command.args(["-c", &script]);
    let mut command = site.settled(command, &[]);
    let ran = Ran::from(command.env("FRESH", site.file("fresh")).output().unwrap());
    ran.refused(&["ledger.db", "full"]);
    assert_eq!(fs::read_dir(site.file("fresh")).unwrap().count(), 0);
    site.ok(&["init", "--data", &site.path("fresh")]);
}
