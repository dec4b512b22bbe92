//! Every octet between a terminal and the backend, changed in turn: of the sealed frame on the wire, and of what is sealed
//! inside it.

use std::thread;

use tr_net::pos::{Pos, Shell};
use tr_protocol::frame::Frame;
use tr_protocol::lifecycle::Outcome;

use crate::site::{PASSPHRASE, copy};
use crate::world::{CREDIT, Part, World, memory, online, pending, sale, settle, urn};

const AMOUNT: i64 = 12_50;
/// Connections at once.
const THIEVES: usize = 4;

/// A sale that was made and not sent.
struct Sale {
    world: World,
    /// The point of sale whose memory holds it.
    pos: Pos,
    terminal: String,
    /// The signed command and its D frame.
    frames: Vec<u8>,
    books: (i64, u64),
}

async fn unsent_sale() -> Sale {
    let world = World::running();
    // Copies of the terminal's directory, in the hands of those who alter its messages: nobody has its keys more than they.
    for thief in 0..THIEVES {
        copy(&world.site.file("pos"), &world.site.file(&format!("thief{thief}")));
    }
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    till.prepare(&world.pay(AMOUNT)).unwrap();
    let (terminal, frames) = (urn(&till), pending(&till));
    drop(till);
    let books = world.state();
    Sale {
        world,
        pos,
        terminal,
        frames,
        books,
    }
}

impl Sale {
    fn thief(&self, number: usize) -> Pos {
        Pos::open(&self.world.site.file(&format!("thief{number}")), PASSPHRASE).unwrap()
    }

    /// Nothing of it all has had an effect, and the honest sale goes through, once.
    async fn honest(mut self) {
        assert_eq!(self.world.state(), self.books);
        let mut till = self.pos.shell().unwrap();
        let settled = settle(&mut till).await;
        assert_eq!(sale(&settled), (Outcome::Approved, 12_50, None));
        assert_eq!(self.world.state(), (CREDIT - AMOUNT, self.books.1 + 1));
        self.world.stop(Part::Gateway);
        self.world.stop(Part::Backend);
        let stored = self.world.transactions(&self.terminal).await;
        assert_eq!(stored.len(), 1, "{stored:?}");
        assert_eq!(stored[0].answer.as_deref(), Some(settled.answer.as_bytes()));
    }
}

/// What became of an altered frame on the wire: the code of the unsealed error that refused it.
async fn refused(shell: &mut Shell<'_>, frame: &[u8]) -> String {
    let answer = shell.exchange_raw(frame).await.unwrap();
    let code = answer.strip_prefix("TR1 I error\ncode=");
    let code = code.unwrap_or_else(|| panic!("not refused: {answer}"));
    code.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn sealed_frame_with_any_octet_altered_is_refused() {
    let sale = unsent_sale().await;
    let pos = sale.thief(0);
    let mut shell = pos.shell().unwrap();
    online(&mut shell).await;
    let mut frame = shell.seal_verbatim(&sale.frames).unwrap();
    let length = frame.len();
    let (mut unopened, mut malformed) = (0, 0);
    for at in 0..length {
        let mut altered = frame.clone();
        altered[at] ^= 1;
        // In the same session as the honest frame, for as long as the gateway lets it live.
        if refused(&mut shell, &altered).await == "auth-failed" {
            unopened += 1;
            continue;
        }
        malformed += 1;
        shell.connect().await.unwrap();
        frame = shell.seal_verbatim(&sale.frames).unwrap();
        assert_eq!(frame.len(), length);
    }
    assert_eq!(unopened + malformed, length);
    assert!(unopened > length / 2 && malformed > 0, "{unopened}, {malformed}");
    drop(shell);
    drop(pos);
    sale.honest().await;
}

#[tokio::test]
async fn session_outlives_every_forgery_that_is_well_formed() {
    let sale = unsent_sale().await;
    let pos = sale.thief(0);
    let mut shell = pos.shell().unwrap();
    online(&mut shell).await;
    let frame = String::from_utf8(shell.seal_verbatim(&sale.frames).unwrap()).unwrap();
    for index in ["0", "2", "9", "64", "65", "2000", "9007199254740991"] {
        let altered = frame.replace("\nindex=1\n", &format!("\nindex={index}\n"));
        assert_ne!(altered, frame);
        assert_eq!(
            refused(&mut shell, altered.as_bytes()).await,
            "auth-failed",
            "index {index}"
        );
    }
    let payload = frame.find("payload=").unwrap() + "payload=".len();
    // The last character is left: some of its bits must be zero.
    for at in payload..frame.len() - "x\n\n".len() {
        let mut altered = frame.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(refused(&mut shell, &altered).await, "auth-failed", "character {at}");
    }
    assert_eq!(sale.world.state(), sale.books);
    // All that was refused has used up no key.
    let answer = shell.exchange_raw(frame.as_bytes()).await.unwrap();
    assert!(answer.starts_with("TR1 D sealed\n"), "{answer}");
    assert_eq!(sale.world.state(), (CREDIT - AMOUNT, sale.books.1 + 1));
}

/// Seals what holds one altered octet, and tries it in a session of its own, for every octet: each thief those at its
/// number, and every fourth from there.
fn alter_inside(sale: &Sale) {
    let alter = |number: usize| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let pos = sale.thief(number);
            let mut shell = pos.shell().unwrap();
            for at in (number..sale.frames.len()).step_by(THIEVES) {
                let mut altered = sale.frames.clone();
                altered[at] ^= 1;
                online(&mut shell).await;
                let frame = shell.seal_verbatim(&altered).unwrap();
                // The refusal is sealed; what it says is in the backend's log.
                let answer = shell.exchange_raw(&frame).await.unwrap();
                assert!(answer.starts_with("TR1 D sealed\n"), "octet {at}: {answer}");
                // The session has ended: not even the honest command goes through in it.
                let frame = shell.seal_verbatim(&sale.frames).unwrap();
                assert_eq!(refused(&mut shell, &frame).await, "out-of-place", "octet {at}");
            }
        });
    };
    thread::scope(|scope| {
        for number in 0..THIEVES {
            scope.spawn(move || alter(number));
        }
    });
}

#[tokio::test]
async fn signed_command_and_card_data_with_any_octet_altered_are_refused() {
    let sale = unsent_sale().await;
    let (command, data) = Frame::parse(&sale.frames).unwrap();
    assert_eq!(
        (command.verb(), Frame::parse_exact(data).unwrap().verb()),
        ("authorise", "card")
    );
    alter_inside(&sale);
    let log = sale.world.log(Part::Backend);
    let count = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    let (refused, malformed) = (count("refused: "), count("a sealed message is malformed: "));
    let out_of_place = count("a command came with a wrong D frame, or without one");
    let all = refused + malformed + out_of_place;
    assert_eq!(all, sale.frames.len(), "{refused}, {malformed}, {out_of_place}");
    // Signature and hashes are reached, not the grammar alone.
    assert!(
        count("does not verify") > 100 && count("the D frame is not the one") > 50,
        "{log}"
    );
    sale.honest().await;
}

#[tokio::test]
async fn signed_command_cut_short_or_with_another_s_card_data_is_refused() {
    let sale = unsent_sale().await;
    let pos = sale.thief(0);
    let (command, data) = Frame::parse(&sale.frames).unwrap();
    // The same track under another salt: the terminal's next sale with the same card.
    let mut other = pos.shell().unwrap();
    online(&mut other).await;
    let before = memory(&other);
    other.prepare(&sale.world.pay(AMOUNT)).unwrap();
    let next = pending(&other);
    let (next_command, next_data) = Frame::parse(&next).unwrap();
    drop(other);
    let command = command.as_bytes();
    let mixed: [&[u8]; 6] = [
        command,
        data,
        &[data, command].concat(),
        &[command, next_data].concat(),
        &[next_command.as_bytes(), data].concat(),
        &[&sale.frames[..], data].concat(),
    ];
    for frames in mixed {
        let mut shell = pos.shell_with(before.clone()).unwrap();
        online(&mut shell).await;
        let frame = shell.seal_verbatim(frames).unwrap();
        let answer = shell.exchange_raw(&frame).await.unwrap();
        assert!(answer.starts_with("TR1 D sealed\n"), "{answer}");
        let frame = shell.seal_verbatim(&sale.frames).unwrap();
        assert_eq!(refused(&mut shell, &frame).await, "out-of-place");
    }
    sale.honest().await;
}
