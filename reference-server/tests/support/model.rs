//! The engine executed over maps in memory: what a store must do, without a store.

use std::collections::BTreeMap;

use tr_net::engine::{
    self, Advance, AnswerData, Authorise, Card, Command, Decided, Effects, Refusal, Request, Sale, Seller, StatusData,
    Usable,
};
use tr_net::ledger::{self, Account, CardState, Cause, Currency, Edition, Entry, Lot, LotId, Policy};
use tr_protocol::lifecycle::{Entry as Life, Standing, Stored, Write};
use tr_protocol::value::{Digest, TransactionId};

pub const START: i64 = 1_795_000_000;
/// The key version under which every card here was issued.
pub const CHECK_KEY: u32 = 1;

/// Small numbers, so that caps, balances and the minimum are all met by random sales.
pub fn policy() -> Policy {
    let edition = |from: &str, per_day| Edition {
        from: from.parse().unwrap(),
        minimum: 100,
        per_transaction: 2_000,
        per_day,
        credit_days: 3,
    };
    Policy::new(
        usd(),
        "Europe/Bucharest",
        vec![edition("2020-01-01", 3_000), edition("2026-11-20", 3_500)],
    )
    .unwrap()
}

pub fn usd() -> Currency {
    Currency::new("USD").unwrap()
}

pub fn id(number: u64) -> TransactionId {
    TransactionId::new(number).unwrap()
}

/// An answer as the tests "sign" it: every field in it, nothing else.
pub fn encode(data: &AnswerData) -> Vec<u8> {
    format!("{data:?}").into_bytes()
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Answer { bytes: Vec<u8>, repeated: bool },
    Refused(Refusal),
}

/// A card of the model; its account is its own.
#[derive(Debug, Clone, Copy)]
pub struct ModelCard {
    pub account: i64,
    pub status: Usable,
    pub last_month: i64,
}

#[derive(Debug, Clone)]
struct Known {
    life: Life,
    card: Option<usize>,
    amount: i64,
    sale: Option<Sale>,
    answer: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Model {
    pub policy: Policy,
    pub cards: Vec<ModelCard>,
    pub shops: Vec<i64>,
    pub lots: BTreeMap<i64, Vec<(i64, Lot)>>,
    pub spent: BTreeMap<(i64, i64), i64>,
    pub entries: Vec<Entry>,
    known: BTreeMap<(usize, u64), Known>,
    low_water: Vec<TransactionId>,
}

impl Model {
    pub fn new(policy: Policy, cards: Vec<ModelCard>, shops: Vec<i64>) -> Self {
        let low_water = vec![TransactionId::MIN; shops.len()];
        Self {
            policy,
            cards,
            shops,
            lots: BTreeMap::new(),
            spent: BTreeMap::new(),
            entries: Vec::new(),
            known: BTreeMap::new(),
            low_water,
        }
    }

    pub fn fund(&mut self, company: i64, account: i64, amount: i64, number: u64, now: i64) {
        let mut cause = [0; 16];
        cause[..8].copy_from_slice(&number.to_be_bytes());
        let home = ledger::home_leg(Cause(cause), company, amount, usd(), now).unwrap();
        let expires = self.policy.credit_expiry(now).unwrap();
        let funding = ledger::fund(Cause(cause), account, amount, usd(), expires, now).unwrap();
        self.entries.push(home);
        self.entries.push(funding.entry);
        self.lots.entry(account).or_default().push((amount, funding.lot));
    }

    pub fn execute(&mut self, terminal: usize, command: &Command, card: Option<usize>, now: i64) -> Told {
        let original = command.reduced().action.original();
        loop {
            let stored = self.stored(terminal, command.id, original);
            let (bytes, repeated) = match engine::look_up(&stored, command) {
                Advance::Repeat => (self.known[&(terminal, command.id.get())].answer.clone(), true),
                Advance::Refuse(refusal) => return Told::Refused(refusal),
                Advance::Write(write) => {
                    self.write(terminal, command, card, write);
                    continue;
                }
                Advance::Status(status) => (encode(&self.status(terminal, original.unwrap(), status)), false),
                Advance::Balance => (encode(&self.balance(card, now)), false),
                Advance::Judge => {
                    let decided = self.judge(terminal, command, now);
                    (self.decide(terminal, command, decided), false)
                }
                Advance::Decline(refusal) => (
                    self.decide(terminal, command, engine::decline(command, asked(command), refusal)),
                    false,
                ),
                Advance::Reverse(outcome) => {
                    let original = original.unwrap();
                    let sale = self
                        .known
                        .get(&(terminal, original.get()))
                        .and_then(|known| known.sale.clone());
                    let decided = engine::undo(original, outcome, sale.as_ref(), now).unwrap();
                    (self.decide(terminal, command, decided), false)
                }
                Advance::RefuseForEver(claim) => {
                    let bytes = encode(&AnswerData::NeverExecuted);
                    self.apply(terminal, command, Write::Refuse(claim));
                    self.known.get_mut(&(terminal, command.id.get())).unwrap().answer = bytes.clone();
                    (bytes, false)
                }
            };
            return Told::Answer { bytes, repeated };
        }
    }

    pub fn prune(&mut self, terminal: usize, below: TransactionId) -> TransactionId {
        let claimed = self.known.range((terminal, 0)..(terminal, below.get()));
        let stuck = claimed
            .filter(|(_, known)| !known.life.may_be_pruned())
            .map(|((_, number), _)| *number)
            .min();
        let mark = stuck.map_or(below, id).max(self.low_water[terminal]);
        self.known
            .retain(|(owner, number), _| *owner != terminal || *number >= mark.get());
        self.low_water[terminal] = mark;
        mark
    }

    /// What must hold at any instant.
    pub fn check(&self) {
        let balances = self.balances();
        assert_eq!(balances.values().sum::<i64>(), 0, "the ledger does not sum to zero");
        assert_eq!(
            balances.get(&Account::Transit).copied().unwrap_or(0),
            0,
            "credit is stuck in transit"
        );
        for (account, lots) in &self.lots {
            assert!(
                lots.iter()
                    .all(|(granted, lot)| (0..=*granted).contains(&lot.remaining)),
                "{lots:?}"
            );
            let left: i64 = lots.iter().map(|(_, lot)| lot.remaining).sum();
            assert_eq!(
                balances[&Account::Card(*account)],
                left,
                "lots and postings of {account:x} differ"
            );
        }
        assert!(balances.iter().all(|(account, balance)| match account {
            Account::Card(_) | Account::Shop(_) => *balance >= 0,
            Account::Company(_) => *balance <= 0,
            _ => true,
        }));
        // The largest cap of any edition; the exact one is asserted by the assessment of each sale.
        assert!(
            self.spent.values().all(|spent| (0..=3_500).contains(spent)),
            "{:?}",
            self.spent
        );
        let mut seen = std::collections::BTreeSet::new();
        assert!(
            self.entries
                .iter()
                .all(|entry| seen.insert((entry.cause(), entry.kind()))),
            "an entry was made twice"
        );
    }

    pub fn balances(&self) -> BTreeMap<Account, i64> {
        let mut balances = BTreeMap::new();
        for posting in self.entries.iter().flat_map(Entry::postings) {
            *balances.entry(posting.account).or_default() += posting.amount;
        }
        balances
    }

    fn stored(&self, terminal: usize, own: TransactionId, original: Option<TransactionId>) -> Stored {
        let life = |id: TransactionId| {
            self.known
                .get(&(terminal, id.get()))
                .map_or(Life::Unseen, |known| known.life)
        };
        Stored {
            low_water: self.low_water[terminal],
            entry: life(own),
            original: original.map_or(Life::Unseen, life),
        }
    }

    fn write(&mut self, terminal: usize, command: &Command, card: Option<usize>, write: Write) {
        let card = match command.reduced().action.original() {
            None => card,
            Some(original) => self.known.get(&(terminal, original.get())).and_then(|known| known.card),
        };
        self.apply(terminal, command, write);
        if let Write::Claim(_) = write {
            self.known.get_mut(&(terminal, command.id.get())).unwrap().card = card;
        }
    }

    fn apply(&mut self, terminal: usize, command: &Command, write: Write) {
        let original = command.reduced().action.original();
        let mut stored = self.stored(terminal, command.id, original);
        assert!(stored.apply(write), "{write:?} lost on {stored:?}");
        self.set(terminal, command.id, stored.entry);
        if let Some(original) = original {
            self.set(terminal, original, stored.original);
        }
    }

    fn set(&mut self, terminal: usize, id: TransactionId, life: Life) {
        let fresh = Known {
            life,
            card: None,
            amount: 0,
            sale: None,
            answer: Vec::new(),
        };
        if life != Life::Unseen {
            self.known.entry((terminal, id.get())).or_insert(fresh).life = life;
        }
    }

    fn judge(&self, terminal: usize, command: &Command, now: i64) -> Decided {
        let card = self.known[&(terminal, command.id.get())].card;
        let card = card.and_then(|card| self.card(card, now));
        let seller = Seller {
            shop: self.shops[terminal],
            status: Usable::Active,
        };
        engine::judge(command, asked(command), &seller, card.as_ref(), &self.policy, now).unwrap()
    }

    fn card(&self, card: usize, now: i64) -> Option<Card> {
        let card = self.cards.get(card)?;
        let day = self.policy.day(now).unwrap().0;
        let state = CardState {
            account: card.account,
            currency: usd(),
            lots: self
                .lots
                .get(&card.account)
                .into_iter()
                .flatten()
                .map(|(_, lot)| *lot)
                .collect(),
            spent_today: self.spent.get(&(card.account, day)).copied().unwrap_or(0),
        };
        Some(Card {
            status: card.status,
            last_month: card.last_month,
            check_key_version: CHECK_KEY,
            state,
        })
    }

    fn decide(&mut self, terminal: usize, command: &Command, decided: Decided) -> Vec<u8> {
        let bytes = encode(&decided.data);
        self.apply(terminal, command, decided.write);
        let known = self.known.get_mut(&(terminal, command.id.get())).unwrap();
        known.answer = bytes.clone();
        known.amount = match &decided.data {
            AnswerData::Authorise(data) => data.amount,
            AnswerData::Reversal(data) => data.amount,
            _ => 0,
        };
        if let Some(Effects {
            entry,
            lots,
            spent: (day, spent),
        }) = decided.effects
        {
            known.sale = Some(Sale {
                entry: entry.clone(),
                day,
            });
            let account = entry.postings().iter().find_map(|line| match line.account {
                Account::Card(account) => Some(account),
                _ => None,
            });
            let account = account.unwrap();
            for (changed, by) in lots {
                self.lot(account, changed).remaining += by;
            }
            *self.spent.entry((account, day.0)).or_default() += spent;
            self.entries.push(entry);
        }
        bytes
    }

    fn lot(&mut self, account: i64, id: LotId) -> &mut Lot {
        self.lots
            .get_mut(&account)
            .unwrap()
            .iter_mut()
            .map(|(_, lot)| lot)
            .find(|lot| lot.id == id)
            .unwrap()
    }

    fn status(&self, terminal: usize, original: TransactionId, status: engine::Status) -> AnswerData {
        let known = self.known.get(&(terminal, original.get()));
        let decided = known.filter(|known| matches!(known.life, Life::Decided { .. }));
        AnswerData::Status(StatusData {
            original,
            status,
            amount: known.map_or(0, |known| known.amount),
            currency: usd(),
            code: decided.filter(|known| known.amount > 0).map(|known| match known.life {
                Life::Decided { digest, .. } => engine::approval_code(&digest),
                _ => unreachable!(),
            }),
            answer: decided.map(|known| known.answer.clone()),
        })
    }

    fn balance(&self, card: Option<usize>, now: i64) -> AnswerData {
        let card = card.and_then(|card| self.card(card, now));
        AnswerData::Balance(engine::balance(card.as_ref(), None, &self.policy, now).unwrap())
    }
}

fn asked(command: &Command) -> &Authorise {
    match &command.request {
        Request::Authorise(asked) => asked,
        _ => unreachable!("only an authorise is judged"),
    }
}

/// One step of a random history.
#[derive(Debug, Clone)]
pub enum Op {
    Fund {
        card: usize,
        amount: i64,
    },
    Send(Sent),
    /// The same command as an earlier step's, once more.
    Again(usize),
    /// The same id as an earlier step's, with other bytes.
    Changed(usize, u8),
    Block {
        card: usize,
        blocked: bool,
    },
    Wait {
        hours: i64,
    },
    Prune {
        terminal: usize,
        below: u64,
    },
}

#[derive(Debug, Clone)]
pub struct Sent {
    pub terminal: usize,
    pub command: Command,
    pub card: Option<usize>,
}

/// Random histories of two terminals and three cards; card 3 is unknown.
pub mod generate {
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::*;

    pub fn history(length: core::ops::Range<usize>) -> impl Strategy<Value = Vec<Op>> {
        prop::collection::vec(op(), length)
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (0..3_usize, 50..4_000_i64).prop_map(|(card, amount)| Op::Fund { card, amount }),
            12 => sent().prop_map(Op::Send),
            4 => any::<prop::sample::Index>().prop_map(|at| Op::Again(at.index(1_000))),
            2 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, salt)| Op::Changed(at.index(1_000), salt)),
            1 => (0..3_usize, any::<bool>()).prop_map(|(card, blocked)| Op::Block { card, blocked }),
            1 => (1..40_i64).prop_map(|hours| Op::Wait { hours }),
            1 => (0..2_usize, 1..12_u64).prop_map(|(terminal, below)| Op::Prune { terminal, below }),
        ]
    }

    fn sent() -> impl Strategy<Value = Sent> {
        let standing =
            prop_oneof![8 => Just(Standing::Full), 1 => Just(Standing::Limited), 1 => Just(Standing::Revoked)];
        let card = prop_oneof![9 => (0..3_usize).prop_map(Some), 1 => Just(Some(3))];
        (0..2_usize, 1..16_u64, request(), card, standing).prop_map(|(terminal, number, request, card, standing)| {
            let digest = digest(&(terminal, number, &request, card));
            Sent {
                terminal,
                command: Command {
                    id: id(number),
                    digest,
                    standing,
                    request,
                },
                card,
            }
        })
    }

    fn request() -> impl Strategy<Value = Request> {
        let verdict = prop_oneof![9 => Just(None), 1 => Just(Some(tr_net::ledger::Rule::CheckValue))];
        let key = prop_oneof![9 => Just(Some(CHECK_KEY)), 1 => Just(Some(CHECK_KEY + 1)), 1 => Just(None)];
        let authorise =
            (1..2_300_i64, any::<bool>(), verdict, key).prop_map(|(amount, partial, verdict, check_key_version)| {
                Request::Authorise(Authorise {
                    amount,
                    currency: usd(),
                    partial,
                    verdict,
                    check_key_version,
                })
            });
        prop_oneof![
            6 => authorise,
            3 => (1..16_u64).prop_map(|original| Request::Reversal { original: id(original) }),
            2 => (1..16_u64).prop_map(|original| Request::Status { original: id(original) }),
            1 => Just(Request::Balance),
        ]
    }

    pub fn digest(of: &impl core::fmt::Debug) -> Digest {
        Digest(Sha256::digest(format!("{of:?}")).into())
    }

    /// Resolves a step into the command it sends, given those sent before.
    pub fn resolve(op: &Op, before: &[Sent]) -> Option<Sent> {
        let pick = |at: usize| (!before.is_empty()).then(|| before[at % before.len()].clone());
        match op {
            Op::Send(sent) => Some(sent.clone()),
            Op::Again(at) => pick(*at),
            Op::Changed(at, salt) => pick(*at).map(|mut sent| {
                sent.command.digest = digest(&(sent.command.digest, salt));
                sent
            }),
            _ => None,
        }
    }
}
