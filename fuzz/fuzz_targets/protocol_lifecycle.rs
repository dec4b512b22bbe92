//! A schedule of look-ups, late writes, repeats and pruning over a store in memory. Each pair of octets is one event.
//! An id has at most one effect, what is decided stays decided, and every command still reaches an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tr_protocol::lifecycle::*;
use tr_protocol::value::{Digest, TransactionId};

const IDS: usize = 8;

struct Store {
    low_water: TransactionId,
    entries: [Entry; IDS],
}

fuzz_target!(|data: &[u8]| {
    let commands = commands();
    let mut store = Store {
        low_water: TransactionId::MIN,
        entries: [Entry::Unseen; IDS],
    };
    let mut held: Vec<(Command, Write)> = Vec::new();
    for event in data.chunks_exact(2) {
        let (what, which) = (event[0], usize::from(event[1]));
        let command = commands[which % commands.len()];
        match what % 4 {
            // Look up, and hold the write for later.
            0 | 1 => held.extend(store.next(&command, what >> 2).map(|write| (command, write))),
            // A write that was held, perhaps for long, and perhaps not for the last time.
            2 if !held.is_empty() => {
                let index = which % held.len();
                let (command, write) = held[index];
                store.execute(&command, write);
                if what & 4 == 0 {
                    held.swap_remove(index);
                }
            }
            // Pruning.
            3 if what & 0x1C == 0 => {
                let at = slot(store.low_water);
                if at + 1 < IDS && store.entries[at].may_be_pruned() {
                    store.low_water = store.low_water.next().unwrap();
                }
            }
            _ => {}
        }
    }
    // Nothing is stuck: every command reaches an answer, and gives the same one again.
    for command in &commands {
        let answer = store.run(command);
        assert_eq!(store.run(command), answer);
    }
});

fn commands() -> Vec<Command> {
    let id = |n| TransactionId::new(n).unwrap();
    let mut commands = Vec::new();
    for n in 1..=IDS as u64 {
        let mut add = |salt: u8, action| {
            commands.push(Command {
                id: id(n),
                digest: Digest([salt + n as u8; 32]),
                action,
            });
        };
        add(0, Action::Authorise);
        add(16, Action::Authorise);
        for original in [1, 2, 5] {
            add(32 + 16 * original as u8, Action::Reversal { original: id(original) });
            add(128 + 16 * original as u8, Action::Status { original: id(original) });
        }
    }
    commands
}

fn slot(id: TransactionId) -> usize {
    id.get() as usize - 1
}

impl Store {
    fn load(&self, command: &Command) -> Stored {
        let original = command
            .action
            .original()
            .map_or(Entry::Unseen, |id| self.entries[slot(id)]);
        Stored {
            low_water: self.low_water,
            entry: self.entries[slot(command.id)],
            original,
        }
    }

    fn next(&self, command: &Command, choice: u8) -> Option<Write> {
        let standing = [Standing::Full, Standing::Limited, Standing::Revoked][usize::from(choice) % 3];
        let verdict = [Outcome::Approved, Outcome::Partial, Outcome::Declined][usize::from(choice / 4) % 3];
        match step(&self.load(command), command) {
            Step::Answer(_) => None,
            Step::Write(write) => Some(write),
            Step::Admit(admit) => match admit.standing(standing) {
                Next::Answer(_) => None,
                Next::Write(write) => Some(write),
                Next::Judge => Some(Write::Decide(verdict)),
                Next::Decline(_) => Some(Write::Decide(Outcome::Declined)),
            },
        }
    }

    fn execute(&mut self, command: &Command, write: Write) -> bool {
        let mut stored = self.load(command);
        let claimed = match write {
            Write::Claim(_) => Some(command.id),
            Write::TombstoneUnseen => command.action.original(),
            _ => None,
        };
        if claimed.is_some_and(|id| id < self.low_water) || !stored.apply(write) {
            return false;
        }
        forward(&mut self.entries[slot(command.id)], stored.entry);
        if let Some(original) = command.action.original().filter(|original| *original != command.id) {
            forward(&mut self.entries[slot(original)], stored.original);
        }
        let count = |wanted: fn(&Decision) -> bool| {
            let decided = |entry: &&Entry| matches!(entry, Entry::Decided { decision, .. } if wanted(decision));
            self.entries.iter().filter(decided).count()
        };
        let effects = count(|decision| matches!(decision, Decision::Reversal(outcome) if outcome.has_effect()));
        assert_eq!(
            effects,
            count(|decision| matches!(decision, Decision::Authorise { reversed: true, .. }))
        );
        true
    }

    fn run(&mut self, command: &Command) -> Answer {
        for _ in 0..=MAX_WRITES {
            match self.next(command, 0) {
                Some(write) => assert!(self.execute(command, write), "alone, every write wins"),
                None => match step(&self.load(command), command) {
                    Step::Answer(answer) => return answer,
                    other => panic!("no answer: {other:?}"),
                },
            }
        }
        panic!("no answer to {command:?}");
    }
}

/// An entry moves forward only, and what was decided stays decided.
fn forward(entry: &mut Entry, after: Entry) {
    let rank = |entry: &Entry| match entry {
        Entry::Unseen => 0,
        Entry::Claimed(_) => 1,
        Entry::Decided {
            decision: Decision::Authorise { reversed: true, .. },
            ..
        }
        | Entry::Refused(_) => 3,
        Entry::Decided { .. } | Entry::Tombstoned(_) => 2,
    };
    assert!(*entry == after || rank(entry) < rank(&after), "{entry:?} -> {after:?}");
    if let (
        Entry::Decided {
            digest: a,
            decision: Decision::Authorise { outcome: x, .. },
        },
        Entry::Decided {
            digest: b,
            decision: Decision::Authorise { outcome: y, .. },
        },
    ) = (*entry, after)
    {
        assert!(a == b && x == y);
    }
    *entry = after;
}
