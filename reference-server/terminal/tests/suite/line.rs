//! A line that loses, doubles, swaps and spoils, a terminal that loses power at any point: what must hold whatever happens.

use std::collections::VecDeque;

use proptest::prelude::*;
use tr_protocol::message::{Inner, ReversalReason};
use tr_protocol::value::TransactionId;
use tr_terminal::memory::{MAX_SEALED, Memory};
use tr_terminal::{Event, Output};

use crate::backend::Backend;
use crate::device::TestDevice;
use crate::world::{POS_SEED, Pos, TRACK, WORLD, sale, storage, swiped, terminal, time};

/// A shell that keeps its promises, and everything around it.
pub(crate) struct Shell<'d> {
    pub(crate) device: &'d TestDevice,
    pub(crate) terminal: Pos<'d>,
    pub(crate) backend: Backend<'static>,
    /// What lies on the disk.
    pub(crate) saved: Vec<u8>,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
    connections: u8,
    /// Whether people see an answer now.
    pub(crate) shown: bool,
    /// Command and answer, as shown and acknowledged.
    pub(crate) done: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) dropped: Vec<String>,
    pub(crate) online: usize,
    latest: (Vec<u8>, Vec<u8>),
}

impl<'d> Shell<'d> {
    pub(crate) fn new(device: &'d TestDevice) -> Self {
        let memory = WORLD.memory();
        let mut sealed = [0; MAX_SEALED];
        let saved = memory.seal(device, storage(), &mut sealed).unwrap().to_vec();
        Self {
            device,
            terminal: terminal(device, memory),
            backend: Backend::new(&WORLD),
            saved,
            up: VecDeque::new(),
            down: VecDeque::new(),
            connections: 0,
            shown: false,
            done: Vec::new(),
            dropped: Vec::new(),
            online: 0,
            latest: (Vec::new(), Vec::new()),
        }
    }

    pub(crate) fn connect(&mut self) {
        self.hang_up();
        self.connections = self.connections.wrapping_add(1);
        let mut random = [0xA0; 32];
        random[0] = self.connections;
        self.terminal.connect(&random).unwrap();
        self.backend.connected();
    }

    fn hang_up(&mut self) {
        self.up.clear();
        self.down.clear();
        self.shown = false;
        self.terminal.disconnected();
    }

    /// Power is lost: what was not saved is gone.
    pub(crate) fn restart(&mut self) {
        self.hang_up();
        let memory = Memory::unseal(self.device, storage(), &self.saved).unwrap();
        self.terminal = terminal(self.device, memory);
    }

    /// One step of what the machine asks for; `false` when it is idle.
    pub(crate) fn step(&mut self) -> bool {
        let next_id = self.terminal.memory().next_id();
        let pending = self.terminal.pending().map(|(command, data)| [command, data].concat());
        match self.terminal.poll() {
            Output::Idle => return false,
            Output::Save => {
                let mut sealed = [0; MAX_SEALED];
                let sealed = self.terminal.memory().seal(self.device, storage(), &mut sealed);
                self.saved = sealed.unwrap().to_vec();
                if pending.is_none() {
                    let clear = self.device.clear.borrow();
                    assert!(!contains(&clear, TRACK.as_bytes()), "card data outlives its command");
                }
                self.terminal.saved();
            }
            Output::Send(octets) => {
                // Nothing is sent before everything it depends on was saved.
                let disk = Memory::unseal(self.device, storage(), &self.saved).unwrap();
                assert_eq!(disk.next_id(), next_id);
                assert_eq!(disk.is_pending(), pending.is_some());
                if let Some(pending) = pending {
                    let disk = terminal(self.device, disk);
                    let (command, data) = disk.pending().unwrap();
                    assert_eq!([command, data].concat(), pending);
                }
                assert!(!contains(octets, TRACK.as_bytes()));
                self.up.push_back(octets.to_vec());
                self.terminal.sent();
            }
            Output::Event(Event::Online(_)) => self.online += 1,
            Output::Event(Event::Answer(answer)) => {
                self.latest = (answer.command.as_bytes().to_vec(), answer.answer.as_bytes().to_vec());
                self.shown = true;
                return false;
            }
            Output::Event(Event::Dropped(dropped)) => {
                self.dropped.push(dropped.to_string());
                self.hang_up();
            }
        }
        true
    }

    pub(crate) fn run(&mut self) {
        while self.step() {}
    }

    pub(crate) fn acknowledge(&mut self) {
        if self.shown {
            self.terminal.acknowledge();
            assert!(self.terminal.pending().is_none());
            self.done.push(core::mem::take(&mut self.latest));
            self.shown = false;
        }
    }

    pub(crate) fn deliver_up(&mut self) -> bool {
        let frame = self.up.pop_front();
        if let Some(frame) = &frame {
            let answer = self.backend.handle(frame);
            self.down.push_back(answer);
        }
        frame.is_some()
    }

    /// In pieces of this size; whatever comes of it is told by events.
    pub(crate) fn deliver_down(&mut self, piece: usize) -> bool {
        let frame = self.down.pop_front();
        for piece in frame.iter().flat_map(|frame| frame.chunks(piece)) {
            self.terminal.handle_input(piece).unwrap();
        }
        frame.is_some()
    }

    /// The oldest frame on its way to the terminal.
    pub(crate) fn take_down(&mut self) -> Vec<u8> {
        self.down.pop_front().unwrap()
    }

    /// An honest line, until nothing moves any more.
    pub(crate) fn settle(&mut self) {
        loop {
            self.run();
            if !self.deliver_up() && !self.deliver_down(usize::MAX) && !self.step() {
                return;
            }
        }
    }

    /// Signed on, and nothing to do.
    pub(crate) fn signed_on(device: &'d TestDevice) -> Self {
        let mut shell = Self::new(device);
        shell.connect();
        shell.settle();
        assert!(shell.terminal.is_online(), "{:?}", shell.dropped);
        shell
    }
}

fn contains(octets: &[u8], wanted: &[u8]) -> bool {
    octets.windows(wanted.len()).any(|window| window == wanted)
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    Poll,
    Run,
    Up,
    Down(usize),
    Lost(bool),
    Doubled(bool),
    Swapped(bool),
    Spoiled(bool, usize, u8),
    Connect,
    HangUp,
    Restart,
    Sale(u64),
    Balance,
    Reverse,
    Status,
    Cancel,
    Forget,
    Acknowledge,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => Just(Happens::Poll),
        8 => Just(Happens::Run),
        10 => Just(Happens::Up),
        10 => (1_usize..9000).prop_map(Happens::Down),
        1 => any::<bool>().prop_map(Happens::Lost),
        1 => any::<bool>().prop_map(Happens::Doubled),
        1 => any::<bool>().prop_map(Happens::Swapped),
        1 => (any::<bool>(), any::<usize>(), 1_u8..).prop_map(|(up, at, with)| Happens::Spoiled(up, at, with)),
        4 => Just(Happens::Connect),
        1 => Just(Happens::HangUp),
        2 => Just(Happens::Restart),
        6 => (1_u64..10_000).prop_map(Happens::Sale),
        1 => Just(Happens::Balance),
        1 => Just(Happens::Reverse),
        1 => Just(Happens::Status),
        2 => Just(Happens::Cancel),
        1 => Just(Happens::Forget),
        4 => Just(Happens::Acknowledge),
    ]
}

fn happen(shell: &mut Shell<'_>, what: Happens) {
    let line = |shell: &mut Shell<'_>, up: bool| {
        let line = if up { &mut shell.up } else { &mut shell.down };
        core::mem::take(line)
    };
    match what {
        Happens::Poll => drop(shell.step()),
        Happens::Run => shell.run(),
        Happens::Up => drop(shell.deliver_up()),
        Happens::Down(piece) => drop(shell.deliver_down(piece)),
        Happens::Connect => shell.connect(),
        Happens::HangUp => shell.hang_up(),
        Happens::Restart => shell.restart(),
        Happens::Acknowledge => shell.acknowledge(),
        Happens::Lost(up) | Happens::Doubled(up) | Happens::Swapped(up) | Happens::Spoiled(up, ..) => {
            let mut frames = line(shell, up);
            match what {
                Happens::Lost(_) => drop(frames.pop_front()),
                Happens::Doubled(_) => frames.extend(frames.front().cloned()),
                Happens::Swapped(_) => frames.rotate_left(frames.len().min(1)),
                Happens::Spoiled(_, at, with) => {
                    if let Some(frame) = frames.front_mut() {
                        let at = at % frame.len();
                        frame[at] ^= with;
                    }
                }
                _ => {}
            }
            *(if up { &mut shell.up } else { &mut shell.down }) = frames;
        }
        // Refused when something is pending; that must change nothing.
        Happens::Sale(_) | Happens::Balance | Happens::Reverse | Happens::Status => {
            let busy = shell.terminal.pending().map(|(command, _)| command.to_vec());
            let next_id = shell.terminal.memory().next_id();
            let original = TransactionId::MIN;
            let begun = match what {
                Happens::Sale(amount) => shell.terminal.authorise(&sale(amount)),
                Happens::Balance => shell.terminal.balance(&swiped(), time()),
                Happens::Reverse if next_id > original => {
                    shell.terminal.reverse(original, ReversalReason::Cancelled, time())
                }
                Happens::Status if next_id > original => shell.terminal.status(original, time()),
                _ => return,
            };
            match busy {
                None => assert_eq!(begun.unwrap(), next_id),
                Some(busy) => {
                    assert!(begun.is_err());
                    assert_eq!(shell.terminal.pending().unwrap().0, busy);
                    assert_eq!(shell.terminal.memory().next_id(), next_id);
                }
            }
        }
        Happens::Cancel => {
            if shell.terminal.cancel(ReversalReason::Timeout, time()).is_ok() {
                shell.shown = false;
                assert!(
                    shell.terminal.pending().unwrap().1.is_empty(),
                    "card data outlives its command"
                );
            }
        }
        Happens::Forget => {
            if shell.terminal.forget().is_ok() {
                shell.shown = false;
                assert!(shell.terminal.pending().is_none());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// One id one command, byte for byte, under every loss (the backend checks it); saved before sent (the shell checks
    /// it); what is pending in the end gets its answer, and each command is shown as done once.
    #[test]
    fn whatever_happens_each_command_is_answered_once(story in prop::collection::vec(happens(), 1..160)) {
        let device = TestDevice::new(POS_SEED);
        let mut shell = Shell::new(&device);
        for what in story {
            happen(&mut shell, what);
        }
        shell.restart();
        let last = shell.terminal.pending().map(|(command, _)| command.to_vec());
        shell.connect();
        shell.settle();
        prop_assert_eq!(shell.shown, last.is_some());
        shell.acknowledge();
        shell.settle();
        prop_assert!(shell.terminal.is_online());
        if let Some(last) = last {
            prop_assert_eq!(&shell.done.last().unwrap().0, &last);
        }
        // A command may be shown again after a power cut before its acknowledgement was saved; the answer is the same.
        for (command, answer) in &shell.done {
            for (_, other) in shell.done.iter().filter(|(again, _)| again == command) {
                prop_assert_eq!(answer, other);
            }
        }
        let clear = device.clear.borrow();
        prop_assert!(!contains(&clear, TRACK.as_bytes()));
    }

    /// The same sale over an honest line, whatever the pieces in which the answers arrive.
    #[test]
    fn pieces_of_any_size_make_the_same_sale(piece in 1_usize..9000) {
        let device = TestDevice::new(POS_SEED);
        let mut shell = Shell::new(&device);
        shell.terminal.authorise(&sale(1250)).unwrap();
        shell.connect();
        loop {
            shell.run();
            if !shell.deliver_up() && !shell.deliver_down(piece) {
                break;
            }
        }
        prop_assert!(shell.shown);
        shell.acknowledge();
        prop_assert_eq!(shell.done.len(), 1);
    }
}

#[test]
fn every_octet_of_an_answer_flipped_is_refused() {
    let device = TestDevice::new(POS_SEED);
    let length = {
        let mut shell = Shell::signed_on(&device);
        shell.terminal.authorise(&sale(1250)).unwrap();
        shell.run();
        shell.deliver_up();
        shell.down[0].len()
    };
    for at in (0..length).step_by(13) {
        let mut shell = Shell::signed_on(&device);
        shell.terminal.authorise(&sale(1250)).unwrap();
        shell.run();
        shell.deliver_up();
        shell.down[0][at] ^= 1;
        shell.deliver_down(usize::MAX);
        shell.run();
        assert!(!shell.shown, "{at}");
        assert!(shell.terminal.memory().is_pending());
    }
}

#[test]
fn what_is_shown_is_the_signed_pair() {
    let device = TestDevice::new(POS_SEED);
    let mut shell = Shell::signed_on(&device);
    shell.terminal.authorise(&sale(1250)).unwrap();
    shell.settle();
    let Output::Event(Event::Answer(answer)) = shell.terminal.poll() else {
        panic!("no answer");
    };
    assert!(matches!(&answer.message, Inner::AuthoriseAnswer(told) if told.amount.minor_units() == 1250));
    assert_eq!(shell.terminal.backend_certificate(), WORLD.backend);
    assert!(!format!("{:?}", shell.terminal).contains("9070001234567893"));
}
