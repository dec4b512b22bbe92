//! One command, from the look-up to its answer. The rules are the engine's; this executes the writes it is told.

use rusqlite::params;
use tr_protocol::lifecycle::{Claim, Entry as Life, MAX_WRITES, Stored, Write};
use tr_protocol::value::TransactionId;

use super::super::{Claimed, Executed, Found, Sign, StoreError, StoredTransaction, Submission};
use super::rows::{self, Known, NewDecision, Place, Terminal, id_column, id_value};
use super::{Db, directory};
use crate::crash::crash_point;
use crate::engine::{self, Advance, AnswerData, Authorise, Command, Decided, Request, StatusData};

/// Answers from what is stored, or says that there is nothing yet.
pub(super) fn look_up(db: &Db, terminal: &str, command: &Command) -> Result<Found, StoreError> {
    let work = Work::load(db, terminal, command)?;
    Ok(match engine::look_up(&work.stored(), command) {
        Advance::Repeat => Found::Answer(work.proof()?.answer),
        Advance::Refuse(refusal) => Found::Refused(refusal),
        _ => Found::Open,
    })
}

/// The first durable step.
pub(super) fn claim(db: &Db, submission: &Submission) -> Result<Claimed, StoreError> {
    if !matches!(
        submission.command.request,
        Request::Authorise(_) | Request::Reversal { .. }
    ) {
        return Ok(Claimed::Settled);
    }
    let mut work = Work::load(db, &submission.terminal, &submission.command)?;
    for _ in 0..=MAX_WRITES {
        match engine::look_up(&work.stored(), &submission.command) {
            Advance::Write(write) if !work.is_claimed() => work.write(write, submission)?,
            Advance::Repeat | Advance::Refuse(_) | Advance::RefuseForEver(_) => return Ok(Claimed::Settled),
            _ => return Ok(Claimed::Claimed),
        }
    }
    Err(StoreError::Malformed("a transaction that does not come to its end"))
}

/// The second durable step.
pub(super) fn decide(db: &Db, submission: &Submission, sign: Sign) -> Result<Executed, StoreError> {
    let work = Work::load(db, &submission.terminal, &submission.command)?;
    if work.own.life == Life::Unseen && !matches!(submission.command.request, Request::Status { .. }) {
        return Err(StoreError::NotClaimed);
    }
    run(work, submission, sign)
}

/// Both steps.
pub(super) fn execute(db: &Db, submission: &Submission, sign: Sign) -> Result<Executed, StoreError> {
    run(
        Work::load(db, &submission.terminal, &submission.command)?,
        submission,
        sign,
    )
}

fn run(mut work: Work<'_>, submission: &Submission, sign: Sign) -> Result<Executed, StoreError> {
    for _ in 0..=MAX_WRITES {
        let fresh = match engine::look_up(&work.stored(), &submission.command) {
            Advance::Write(write) => {
                work.write(write, submission)?;
                continue;
            }
            Advance::Repeat => {
                return Ok(Executed::Answered {
                    answer: work.proof()?.answer,
                    repeated: true,
                });
            }
            Advance::Refuse(refusal) => return Ok(Executed::Refused(refusal)),
            Advance::Status(status) => sign(&AnswerData::Status(work.status(status)?))?,
            Advance::Balance => sign(&AnswerData::Balance(work.balance(submission)?))?,
            Advance::Judge => {
                let decided = work.judge(submission)?;
                work.decide(decided, submission, sign)?
            }
            Advance::Decline(refusal) => {
                let decided = engine::decline(&submission.command, asked(submission)?, refusal);
                work.decide(decided, submission, sign)?
            }
            Advance::Reverse(outcome) => {
                let original = work.original()?;
                let sale = if outcome.has_effect() {
                    rows::load_sale(work.db, original)?
                } else {
                    None
                };
                let decided = engine::undo(original.id, outcome, sale.as_ref(), submission.now)?;
                work.decide(decided, submission, sign)?
            }
            Advance::RefuseForEver(claim) => work.refuse(claim, submission, sign)?,
        };
        return Ok(Executed::Answered {
            answer: fresh,
            repeated: false,
        });
    }
    Err(StoreError::Malformed("a transaction that does not come to its end"))
}

fn asked(submission: &Submission) -> Result<&Authorise, StoreError> {
    match &submission.command.request {
        Request::Authorise(asked) => Ok(asked),
        _ => Err(StoreError::Malformed("a judgement on what is no authorise")),
    }
}

/// What is loaded for one command, kept in step with what is written.
struct Work<'a> {
    db: &'a Db,
    terminal: Terminal,
    own: Known,
    original: Option<Known>,
}

impl<'a> Work<'a> {
    fn load(db: &'a Db, uri: &str, command: &Command) -> Result<Self, StoreError> {
        let terminal = Terminal::load(db, uri)?;
        let own = Known::load(db, &terminal, command.id)?;
        let original = match command.reduced().action.original() {
            Some(original) => Some(Known::load(db, &terminal, original)?),
            None => None,
        };
        Ok(Self {
            db,
            terminal,
            own,
            original,
        })
    }

    fn stored(&self) -> Stored {
        Stored {
            low_water: self.terminal.low_water,
            entry: self.own.life,
            original: self.original.map_or(Life::Unseen, |original| original.life),
        }
    }

    fn is_claimed(&self) -> bool {
        matches!(self.own.life, Life::Claimed(_))
    }

    fn original(&self) -> Result<&Known, StoreError> {
        self.original
            .as_ref()
            .ok_or(StoreError::Malformed("a reversal without its original"))
    }

    fn proof(&self) -> Result<rows::Proof, StoreError> {
        rows::proof(self.db, &self.terminal, &self.own)?.ok_or(StoreError::Malformed("a decision without its answer"))
    }

    /// A write that touches no money and stores no answer.
    fn write(&mut self, write: Write, submission: &Submission) -> Result<(), StoreError> {
        let now = submission.now;
        match write {
            Write::Claim(claim) => {
                crash_point("before-claim");
                let place = self.place(submission)?;
                rows::insert_claim(self.db, &self.terminal, self.own.id, Some(claim), place, now)?;
                self.own.place = place;
                self.own.bucket = place.map_or(self.terminal.bucket, |place| place.bucket);
            }
            Write::TombstoneUnseen => {
                rows::insert_claim(self.db, &self.terminal, self.original()?.id, None, None, now)?;
            }
            Write::TombstoneClaimed => rows::insert_tombstone(self.db, &self.terminal, self.original()?, now)?,
            Write::Decide(_) | Write::DecideReversal(_) | Write::Refuse(_) => {
                return Err(StoreError::Malformed("a decision without its answer"));
            }
        }
        self.apply(write)
    }

    /// Follows a write in memory in place of a second read: nobody else writes during this transaction.
    fn apply(&mut self, write: Write) -> Result<(), StoreError> {
        let mut stored = self.stored();
        if !stored.apply(write) {
            return Err(StoreError::Malformed("a write that the rules do not allow"));
        }
        self.own.life = stored.entry;
        if let Some(original) = &mut self.original {
            original.life = stored.original;
        }
        Ok(())
    }

    /// The account that a claim names: that of the card, or that of the original's claim.
    fn place(&self, submission: &Submission) -> Result<Option<Place>, StoreError> {
        match (&submission.command.request, &submission.card) {
            (Request::Authorise(_), Some(card)) => rows::find_card(self.db, card.digits()),
            // A track that cannot be read names no account; the verdict that came with it declines.
            (Request::Authorise(_), None) => Ok(None),
            _ => Ok(self.original.and_then(|original| original.place)),
        }
    }

    fn judge(&self, submission: &Submission) -> Result<Decided, StoreError> {
        let (policy, now) = (&self.db.policy, submission.now);
        let card = match &self.own.place {
            Some(place) => rows::load_card(self.db, place, policy.day(now)?)?,
            None => None,
        };
        let asked = asked(submission)?;
        Ok(engine::judge(
            &submission.command,
            asked,
            &self.terminal.seller,
            card.as_ref(),
            policy,
            now,
        )?)
    }

    /// Signs the answer, then makes the decision: the row with its evidence and answer, the mark, the ledger.
    fn decide(&mut self, decided: Decided, submission: &Submission, sign: Sign) -> Result<Vec<u8>, StoreError> {
        let answer = sign(&decided.data)?;
        let (amount, original) = match &decided.data {
            AnswerData::Authorise(data) => (data.amount, None),
            AnswerData::Reversal(data) => (data.amount, Some(data.original)),
            _ => (0, None),
        };
        let new = NewDecision {
            write: decided.write,
            digest: submission.command.digest,
            amount,
            original,
            day: decided.effects.as_ref().map(|effects| effects.spent.0),
            evidence: &submission.evidence,
            answer: &answer,
            now: submission.now,
        };
        rows::insert_decision(self.db, &self.terminal, &self.own, &new)?;
        if let Some(effects) = &decided.effects {
            if let Write::DecideReversal(_) = decided.write {
                rows::insert_reversal(self.db, &self.terminal, self.original()?, self.own.id)?;
            }
            rows::apply_effects(self.db, self.own.bucket, effects)?;
        }
        self.apply(decided.write)?;
        Ok(answer)
    }

    fn refuse(&mut self, claim: Claim, submission: &Submission, sign: Sign) -> Result<Vec<u8>, StoreError> {
        let answer = sign(&AnswerData::NeverExecuted)?;
        rows::insert_refusal(
            self.db,
            &self.terminal,
            &self.own,
            claim,
            &submission.evidence,
            &answer,
            submission.now,
        )?;
        self.apply(Write::Refuse(claim))?;
        Ok(answer)
    }

    fn status(&self, status: engine::Status) -> Result<StatusData, StoreError> {
        let original = self.original()?;
        let (answer, code) = match original.life {
            Life::Decided { digest, .. } => {
                let answer = rows::proof(self.db, &self.terminal, original)?.map(|proof| proof.answer);
                (answer, (original.amount > 0).then(|| engine::approval_code(&digest)))
            }
            _ => (None, None),
        };
        let (amount, currency) = (original.amount, self.db.policy.currency());
        Ok(StatusData {
            original: original.id,
            status,
            amount,
            currency,
            code,
            answer,
        })
    }

    fn balance(&self, submission: &Submission) -> Result<engine::Balance, StoreError> {
        let (db, now) = (self.db, submission.now);
        let place = match &submission.card {
            Some(card) => rows::find_card(db, card.digits())?,
            None => None,
        };
        let card = match place {
            Some(place) => rows::load_card(db, &place, db.policy.day(now)?)?,
            None => None,
        };
        Ok(engine::balance(card.as_ref(), None, &db.policy, now)?)
    }
}

/// Moves the low-water mark and forgets what is under it, one id after the other.
pub(super) fn prune(db: &Db, uri: &str, below: TransactionId) -> Result<TransactionId, StoreError> {
    let terminal = Terminal::load(db, uri)?;
    let ids: Vec<i64> = db.rows(
        "SELECT id FROM claims WHERE bucket = ?1 AND terminal_index = ?2 AND id < ?3 ORDER BY id",
        params![terminal.bucket, terminal.index.0, id_column(below)],
        |row| row.get(0),
    )?;
    let mut mark = below;
    for id in ids {
        let known = Known::load(db, &terminal, id_value(id)?)?;
        if !known.life.may_be_pruned() {
            mark = known.id;
            break;
        }
        for sql in [
            "DELETE FROM decisions WHERE bucket = ?1 AND terminal_index = ?2 AND id = ?3",
            "DELETE FROM reversals WHERE bucket = ?1 AND terminal_index = ?2 AND id = ?3",
            "DELETE FROM refusals WHERE bucket = ?1 AND terminal_index = ?2 AND id = ?3",
        ] {
            db.execute(sql, params![known.bucket, terminal.index.0, id])?;
        }
        db.execute(
            "DELETE FROM claims WHERE bucket = ?1 AND terminal_index = ?2 AND id = ?3",
            params![terminal.bucket, terminal.index.0, id],
        )?;
    }
    let mark = mark.max(terminal.low_water);
    db.execute(
        "UPDATE terminals SET low_water = ?3 WHERE bucket = ?1 AND terminal_index = ?2",
        params![terminal.bucket, terminal.index.0, id_column(mark)],
    )?;
    Ok(mark)
}

/// What is stored of one id.
pub(super) fn stored(db: &Db, uri: &str, id: TransactionId) -> Result<Option<StoredTransaction>, StoreError> {
    let terminal = Terminal::load(db, uri)?;
    describe(db, &terminal, id)
}

/// The ids of a terminal, newest first.
pub(super) fn transactions(db: &Db, uri: &str, limit: usize) -> Result<Vec<StoredTransaction>, StoreError> {
    let terminal = Terminal::load(db, uri)?;
    let ids: Vec<i64> = db.rows(
        "SELECT id FROM claims WHERE bucket = ?1 AND terminal_index = ?2 ORDER BY id DESC LIMIT ?3",
        params![terminal.bucket, terminal.index.0, directory::limit_column(limit)],
        |row| row.get(0),
    )?;
    let described = ids
        .into_iter()
        .filter_map(|id| id_value(id).and_then(|id| describe(db, &terminal, id)).transpose());
    described.collect()
}

fn describe(db: &Db, terminal: &Terminal, id: TransactionId) -> Result<Option<StoredTransaction>, StoreError> {
    let known = Known::load(db, terminal, id)?;
    let Some(dates) = rows::dates(db, terminal, &known)? else {
        return Ok(None);
    };
    let (kind, digest, outcome) = rows::words(&known);
    let proof = rows::proof(db, terminal, &known)?.map(|proof| (proof.evidence, proof.answer));
    let (evidence, answer) = proof.unzip();
    Ok(Some(StoredTransaction {
        id,
        kind,
        digest,
        outcome,
        amount: known.amount,
        original: dates.original.map(id_value).transpose()?,
        reversed_by: dates.reversed_by.map(id_value).transpose()?,
        at: dates.at,
        evidence,
        answer,
    }))
}
