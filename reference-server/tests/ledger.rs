//! Random histories over the pure ledger and engine: nothing is lost, nothing is made, nothing happens twice.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "a test crate has no public interface, and a panic is how a test fails"
)]

#[path = "support/model.rs"]
mod model;

use model::{Model, ModelCard, Op, START, Told, generate, policy};
use proptest::prelude::*;
use tr_net::engine::{Refusal, Request, Usable};

const COMPANY: i64 = 1;

fn fresh() -> Model {
    let card = |account| ModelCard {
        account,
        status: Usable::Active,
        last_month: 2030 * 12,
    };
    Model::new(policy(), vec![card(11), card(12), card(13)], vec![21, 22])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_history_keeps_the_books(history in generate::history(1..120)) {
        let mut model = fresh();
        let mut now = START;
        let mut sent = Vec::new();
        let mut loads = 0;
        for op in &history {
            now += 7;
            match op {
                Op::Fund { card, amount } => {
                    loads += 1;
                    model.fund(COMPANY, model.cards[*card].account, *amount, loads, now);
                }
                Op::Block { card, blocked } => {
                    model.cards[*card].status = if *blocked { Usable::Blocked } else { Usable::Active };
                }
                Op::Wait { hours } => now += hours * 3_600,
                Op::Prune { terminal, below } => {
                    model.prune(*terminal, model::id(*below));
                }
                Op::Send(_) | Op::Again(_) | Op::Changed(..) => {}
            }
            let Some(send) = generate::resolve(op, &sent) else { continue };
            let before = model.entries.len();
            let told = model.execute(send.terminal, &send.command, send.card, now);
            // The same command at once again: the same answer, and the books do not move.
            let after = model.entries.len();
            prop_assert!(after <= before + 1);
            let again = model.execute(send.terminal, &send.command, send.card, now);
            prop_assert_eq!(model.entries.len(), after);
            match (&told, &again) {
                (Told::Answer { bytes, .. }, Told::Answer { bytes: same, repeated }) => {
                    prop_assert_eq!(bytes, same);
                    let kept = matches!(send.command.request, Request::Authorise(_) | Request::Reversal { .. });
                    prop_assert_eq!(*repeated, kept);
                }
                (told, again) => prop_assert_eq!(told, again),
            }
            // Other bytes under an id that was answered: an error of its own.
            if let (Told::Answer { .. }, Request::Authorise(_)) = (&told, &send.command.request) {
                let mut changed = send.command.clone();
                changed.digest.0[31] ^= 1;
                let refused = model.execute(send.terminal, &changed, send.card, now);
                prop_assert_eq!(refused, Told::Refused(Refusal::ChangedRepeat));
                prop_assert_eq!(model.entries.len(), after);
            }
            model.check();
            sent.push(send);
        }
    }
}
