//! The life-cycle rules, explored exhaustively over stale, lost, repeated and interleaved steps.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::{HashSet, VecDeque};

use tr_protocol::lifecycle::*;
use tr_protocol::value::{Digest, TransactionId};

const IDS: usize = 6;

fn id(n: u64) -> TransactionId {
    TransactionId::new(n).unwrap()
}

fn command(n: u64, digest: u8, action: Action) -> Command {
    Command {
        id: id(n),
        digest: Digest([digest; 32]),
        action,
    }
}

fn authorise(n: u64, digest: u8) -> Command {
    command(n, digest, Action::Authorise)
}

fn reversal(n: u64, original: u64) -> Command {
    command(
        n,
        0x40 + u8::try_from(n).unwrap(),
        Action::Reversal { original: id(original) },
    )
}

fn status(n: u64, original: u64) -> Command {
    command(
        n,
        0x80 + u8::try_from(n).unwrap(),
        Action::Status { original: id(original) },
    )
}

/// A store in memory: the durable rows of one terminal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Db {
    low_water: TransactionId,
    entries: [Entry; IDS],
}

fn slot(id: TransactionId) -> usize {
    usize::try_from(id.get()).unwrap() - 1
}

impl Db {
    fn new() -> Self {
        Self {
            low_water: TransactionId::MIN,
            entries: [Entry::Unseen; IDS],
        }
    }

    fn load(&self, command: &Command) -> Stored {
        Stored {
            low_water: self.low_water,
            entry: self.entries[slot(command.id)],
            original: command
                .action
                .original()
                .map_or(Entry::Unseen, |o| self.entries[slot(o)]),
        }
    }

    /// Executes one write against what is durable now, not against what the worker had loaded.
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
        self.entries[slot(command.id)] = stored.entry;
        if let Some(original) = command.action.original() {
            self.entries[slot(original)] = stored.original;
        }
        true
    }

    /// The writes that a worker could be told to do, over every standing and every verdict.
    fn possible(&self, command: &Command) -> Vec<Write> {
        let admit = match step(&self.load(command), command) {
            Step::Answer(_) => return Vec::new(),
            Step::Write(write) => return vec![write],
            Step::Admit(admit) => admit,
        };
        let mut writes = Vec::new();
        for standing in [Standing::Full, Standing::Limited, Standing::Revoked] {
            match admit.standing(standing) {
                Next::Answer(_) => {}
                Next::Write(write) => writes.push(write),
                Next::Judge => {
                    writes.extend([Outcome::Approved, Outcome::Partial, Outcome::Declined].map(Write::Decide))
                }
                Next::Decline(_) => writes.push(Write::Decide(Outcome::Declined)),
            }
        }
        writes
    }

    /// Runs a command to its answer, alone.
    fn run(&mut self, command: &Command, standing: Standing, verdict: Outcome) -> Answer {
        for _ in 0..=MAX_WRITES {
            let write = match step(&self.load(command), command) {
                Step::Answer(answer) => return answer,
                Step::Write(write) => write,
                Step::Admit(admit) => match admit.standing(standing) {
                    Next::Answer(answer) => return answer,
                    Next::Write(write) => write,
                    Next::Judge => Write::Decide(verdict),
                    Next::Decline(_) => Write::Decide(Outcome::Declined),
                },
            };
            assert!(
                self.execute(command, write),
                "alone, every write wins: {write:?} in {self:?}"
            );
        }
        panic!("no answer to {command:?} in {self:?}");
    }

    fn ok(&mut self, command: &Command) -> Answer {
        self.run(command, Standing::Full, Outcome::Approved)
    }
}

fn rank(entry: Entry) -> u8 {
    match entry {
        Entry::Unseen => 0,
        Entry::Claimed(_) => 1,
        Entry::Decided {
            decision: Decision::Authorise { reversed: true, .. },
            ..
        }
        | Entry::Refused(_) => 3,
        Entry::Decided { .. } | Entry::Tombstoned(_) => 2,
    }
}

/// What may change in one entry: it moves forward, and what was decided stays decided, with the same digest.
fn check_forward(before: Entry, after: Entry) {
    assert!(before == after || rank(after) > rank(before), "{before:?} -> {after:?}");
    match before {
        Entry::Decided {
            digest,
            decision: Decision::Authorise { outcome, .. },
        } => assert!(
            matches!(after, Entry::Decided { digest: d, decision: Decision::Authorise { outcome: o, .. } }
                if d == digest && o == outcome),
            "{before:?} -> {after:?}"
        ),
        Entry::Decided { .. } | Entry::Refused(_) => assert_eq!(before, after),
        Entry::Tombstoned(_) => assert!(matches!(after, Entry::Tombstoned(_) | Entry::Refused(_))),
        Entry::Claimed(claim) => assert!(match after {
            Entry::Claimed(c) | Entry::Tombstoned(Some(c)) | Entry::Refused(c) => c == claim,
            Entry::Decided { digest, .. } => digest == claim.digest,
            Entry::Unseen | Entry::Tombstoned(None) => false,
        }),
        Entry::Unseen => {}
    }
}

/// Every interleaving of these commands, each sent any number of times, each write done at once or long after the state
/// it was computed from has passed, or never (a crash), or twice.
fn explore(commands: &[Command], pruning: bool) -> usize {
    let mut seen: HashSet<(Db, Vec<(usize, Write)>)> = HashSet::new();
    let mut queue = VecDeque::from([(Db::new(), Vec::<(usize, Write)>::new())]);
    while let Some((db, pending)) = queue.pop_front() {
        if !seen.insert((db.clone(), pending.clone())) {
            continue;
        }
        let mut successors = Vec::new();
        for (n, command) in commands.iter().enumerate() {
            // No stuck state: from here the command alone reaches an answer.
            let answer = db.clone().run(command, Standing::Full, Outcome::Approved);
            // What is promised as never executed is not and will not be (entries only move forward).
            if answer == Answer::Status(Status::NeverExecuted) {
                let mut after = db.clone();
                after.run(command, Standing::Full, Outcome::Approved);
                let original = after.entries[slot(command.action.original().unwrap())];
                assert!(matches!(original, Entry::Tombstoned(_) | Entry::Refused(_)));
            }
            for write in db.possible(command) {
                if !pending.contains(&(n, write)) {
                    let mut more = pending.clone();
                    more.push((n, write));
                    more.sort_by_key(|p| format!("{p:?}"));
                    successors.push((db.clone(), more));
                }
            }
        }
        for &(n, write) in &pending {
            let mut after = db.clone();
            if after.execute(&commands[n], write) {
                let effects = after
                    .entries
                    .iter()
                    .filter(|e| matches!(e, Entry::Decided { decision: Decision::Reversal(o), .. } if o.has_effect()))
                    .count();
                let undone = after
                    .entries
                    .iter()
                    .filter(|e| {
                        matches!(
                            e,
                            Entry::Decided {
                                decision: Decision::Authorise { reversed: true, .. },
                                ..
                            }
                        )
                    })
                    .count();
                assert_eq!(effects, undone, "as many undone as reversals with an effect: {after:?}");
                for (before, after) in db.entries.iter().zip(&after.entries) {
                    check_forward(*before, *after);
                }
                successors.push((after, pending.clone()));
            }
        }
        if pruning && slot(db.low_water) < 2 && db.entries[slot(db.low_water)].may_be_pruned() {
            let mut after = db.clone();
            after.low_water = db.low_water.next().unwrap();
            successors.push((after, pending.clone()));
        }
        queue.extend(successors);
    }
    seen.len()
}

#[test]
fn an_authorise_a_changed_one_and_a_status_query_interleave() {
    let states = explore(&[authorise(1, 1), authorise(1, 9), status(4, 1)], true);
    assert!(states > 100, "{states}");
}

#[test]
fn an_authorise_and_two_reversals_interleave() {
    let states = explore(&[authorise(1, 1), reversal(2, 1), reversal(3, 1)], false);
    assert!(states > 100, "{states}");
}

#[test]
fn a_reversal_and_queries_of_both_ids_interleave() {
    let states = explore(&[authorise(1, 1), reversal(2, 1), status(4, 1), status(5, 2)], false);
    assert!(states > 100, "{states}");
}

#[test]
fn a_reversal_of_a_reversal_and_pruning_interleave() {
    let states = explore(&[authorise(1, 1), reversal(2, 1), reversal(6, 2)], true);
    assert!(states > 100, "{states}");
}

/// One worker, the others doing whole steps between its look-up and its write: the bound on its rounds holds.
#[test]
fn a_command_needs_at_most_max_writes() {
    let others = [
        authorise(1, 1),
        authorise(1, 9),
        reversal(2, 1),
        reversal(3, 1),
        status(4, 1),
        status(5, 2),
    ];
    for command in others {
        let mut seen = HashSet::new();
        let mut queue = VecDeque::from([(Db::new(), 0, None::<Write>)]);
        let mut most = 0;
        while let Some((db, rounds, held)) = queue.pop_front() {
            if !seen.insert((db.clone(), rounds, held)) {
                continue;
            }
            most = most.max(rounds);
            assert!(rounds <= MAX_WRITES, "{command:?} in {db:?}");
            match held {
                None => queue.extend(db.possible(&command).into_iter().map(|w| (db.clone(), rounds, Some(w)))),
                Some(write) => {
                    let mut after = db.clone();
                    after.execute(&command, write);
                    queue.push_back((after, rounds + 1, None));
                }
            }
            for other in &others {
                for write in db.possible(other) {
                    let mut after = db.clone();
                    after.execute(other, write);
                    queue.push_back((after, rounds, held));
                }
            }
        }
        println!("{:?}: at most {most} writes", command.action);
    }
}

#[test]
fn an_identical_repeat_is_answered_whatever_the_standing() {
    let mut db = Db::new();
    let sale = authorise(1, 1);
    assert_eq!(db.ok(&sale), Answer::Stored);
    let stored = db.load(&sale);
    // The look-up answers before anybody asks for the standing.
    assert_eq!(step(&stored, &sale), Step::Answer(Answer::Stored));
}

#[test]
fn a_changed_repeat_is_an_error_of_its_own() {
    let mut db = Db::new();
    db.ok(&authorise(1, 1));
    assert_eq!(db.ok(&authorise(1, 2)), Answer::Refuse(Refusal::ChangedRepeat));
    // Under the id of a reversal as well.
    db.ok(&reversal(2, 1));
    assert_eq!(db.ok(&authorise(2, 1)), Answer::Refuse(Refusal::ChangedRepeat));
}

#[test]
fn a_reversal_before_its_authorise_tombstones_the_id() {
    let mut db = Db::new();
    assert_eq!(db.ok(&reversal(2, 1)), Answer::Stored);
    assert_eq!(
        db.entries[1],
        Entry::Decided {
            digest: Digest([0x42; 32]),
            decision: Decision::Reversal(ReversalOutcome::NeverExecuted)
        }
    );
    // The late authorise is refused with an answer that is stored, and stays the same for repeats.
    assert_eq!(db.ok(&authorise(1, 1)), Answer::Stored);
    assert_eq!(
        db.entries[0],
        Entry::Refused(Claim {
            kind: Kind::Authorise,
            digest: Digest([1; 32])
        })
    );
    assert_eq!(db.ok(&authorise(1, 1)), Answer::Stored);
    assert_eq!(db.ok(&authorise(1, 2)), Answer::Refuse(Refusal::ChangedRepeat));
    assert_eq!(db.ok(&status(4, 1)), Answer::Status(Status::NeverExecuted));
}

#[test]
fn a_tombstone_beats_a_decision_that_comes_later() {
    let mut db = Db::new();
    let sale = authorise(1, 1);
    let [claim] = db.possible(&sale)[..] else { panic!() };
    assert!(db.execute(&sale, claim));
    // A worker judges; meanwhile the status query comes.
    assert_eq!(db.ok(&status(4, 1)), Answer::Status(Status::NeverExecuted));
    assert!(
        !db.execute(&sale, Write::Decide(Outcome::Approved)),
        "the insert must lose"
    );
    // Told that it lost, the worker looks up again.
    assert_eq!(db.ok(&sale), Answer::Stored);
    assert!(matches!(db.entries[0], Entry::Refused(_)));
}

#[test]
fn an_approval_is_reversed_once() {
    for verdict in [Outcome::Approved, Outcome::Partial] {
        let mut db = Db::new();
        db.run(&authorise(1, 1), Standing::Full, verdict);
        assert_eq!(db.ok(&reversal(2, 1)), Answer::Stored);
        assert_eq!(db.ok(&reversal(2, 1)), Answer::Stored);
        assert_eq!(db.ok(&reversal(3, 1)), Answer::Stored);
        let decided = |n: usize| match db.entries[n] {
            Entry::Decided { decision, .. } => decision,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            decided(0),
            Decision::Authorise {
                outcome: verdict,
                reversed: true
            }
        );
        assert_eq!(decided(1), Decision::Reversal(ReversalOutcome::Reversed));
        assert_eq!(decided(2), Decision::Reversal(ReversalOutcome::AlreadyReversed));
        // The authorise's own answer does not change by it.
        assert_eq!(db.clone().ok(&authorise(1, 1)), Answer::Stored);
    }
}

#[test]
fn a_decline_leaves_nothing_to_reverse() {
    let mut db = Db::new();
    db.run(&authorise(1, 1), Standing::Full, Outcome::Declined);
    db.ok(&reversal(2, 1));
    assert!(matches!(
        db.entries[1],
        Entry::Decided {
            decision: Decision::Reversal(ReversalOutcome::WasDeclined),
            ..
        }
    ));
}

#[test]
fn a_reversal_is_not_reversible() {
    let mut db = Db::new();
    db.ok(&authorise(1, 1));
    db.ok(&reversal(2, 1));
    db.ok(&reversal(6, 2));
    assert!(matches!(
        db.entries[5],
        Entry::Decided {
            decision: Decision::Reversal(ReversalOutcome::NotReversible),
            ..
        }
    ));
}

#[test]
fn the_original_must_be_older_than_the_command() {
    let mut db = Db::new();
    for bad in [reversal(2, 2), reversal(2, 3), status(2, 2), status(2, 3)] {
        assert_eq!(db.ok(&bad), Answer::Refuse(Refusal::BadOriginal));
    }
    assert_eq!(db, Db::new());
}

#[test]
fn ids_below_the_low_water_mark_are_never_executed() {
    let mut db = Db::new();
    db.ok(&authorise(1, 1));
    db.low_water = id(3);
    let before = db.clone();
    assert_eq!(db.ok(&authorise(1, 1)), Answer::Refuse(Refusal::TooOld));
    assert_eq!(db.ok(&authorise(2, 1)), Answer::Refuse(Refusal::TooOld));
    assert_eq!(db.ok(&status(4, 1)), Answer::Status(Status::TooOld));
    assert_eq!(db, before);
    db.ok(&reversal(5, 1));
    assert!(matches!(
        db.entries[4],
        Entry::Decided {
            decision: Decision::Reversal(ReversalOutcome::TooOld),
            ..
        }
    ));
    // A worker that had looked up before the mark moved loses its claim.
    assert!(!db.execute(
        &authorise(2, 1),
        Write::Claim(Claim {
            kind: Kind::Authorise,
            digest: Digest([1; 32])
        })
    ));
}

#[test]
fn what_is_claimed_is_not_pruned() {
    let claim = Claim {
        kind: Kind::Authorise,
        digest: Digest([1; 32]),
    };
    assert!(!Entry::Claimed(claim).may_be_pruned());
    assert!(Entry::Unseen.may_be_pruned());
    assert!(Entry::Tombstoned(None).may_be_pruned());
}

#[test]
fn a_limited_session_repeats_queries_and_nothing_else() {
    let mut db = Db::new();
    let limited = Answer::Refuse(Refusal::LimitedSession);
    let mut run = |command: &Command| db.run(command, Standing::Limited, Outcome::Approved);
    for new in [authorise(1, 1), reversal(2, 1), command(3, 3, Action::Balance)] {
        assert_eq!(run(&new), limited);
    }
    assert_eq!(run(&status(4, 1)), Answer::Status(Status::NeverExecuted));
    assert_eq!(run(&authorise(1, 1)), Answer::Stored);
    assert_eq!(db.entries[2..], [Entry::Unseen; 4]);
}

#[test]
fn a_claim_from_better_days_is_declined_unjudged() {
    let sale = authorise(1, 1);
    for (standing, refusal) in [
        (Standing::Limited, Refusal::LimitedSession),
        (Standing::Revoked, Refusal::Revoked),
    ] {
        let mut db = Db::new();
        db.execute(
            &sale,
            Write::Claim(Claim {
                kind: Kind::Authorise,
                digest: sale.digest,
            }),
        );
        let Step::Admit(admit) = step(&db.load(&sale), &sale) else {
            panic!()
        };
        assert_eq!(admit.standing(standing), Next::Decline(refusal));
        assert_eq!(db.run(&sale, standing, Outcome::Approved), Answer::Stored);
        assert!(matches!(
            db.entries[0],
            Entry::Decided {
                decision: Decision::Authorise {
                    outcome: Outcome::Declined,
                    ..
                },
                ..
            }
        ));
    }
}

#[test]
fn a_limited_session_may_sign_on_and_a_revoked_terminal_may_not() {
    let Step::Admit(admit) = step(&Stored::EMPTY, &command(1, 1, Action::SignOn)) else {
        panic!("sign-on has no stored answer");
    };
    assert_eq!(admit.standing(Standing::Limited), Next::Answer(Answer::Read));
    assert_eq!(
        admit.standing(Standing::Revoked),
        Next::Answer(Answer::Refuse(Refusal::Revoked))
    );
}

#[test]
fn balance_and_sign_on_are_read_only() {
    let mut db = Db::new();
    for action in [Action::Balance, Action::SignOn] {
        assert_eq!(db.ok(&command(1, 1, action)), Answer::Read);
    }
    assert_eq!(db, Db::new());
}
