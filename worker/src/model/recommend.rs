//! Items that users may like, from what they and others chose. Pure.
//!
//! Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (2008): users and items become
//! vectors whose product is near 1 where a user chose an item and near 0 elsewhere, the more so the more often it was
//! chosen. An item that the user did not choose, with a large product, is one that similar users chose.

use std::num::NonZero;
use std::thread;

use discorec::RecommenderBuilder;

use super::choices::Choices;

/// Length of the vectors. More tell finer tastes apart and take longer.
const FACTORS: u32 = 32;
/// Rounds in which the vectors of users and items are fitted to each other in turn.
const ROUNDS: u32 = 15;
/// How much more a choice counts than its absence, and how much is needed to believe in a taste. Out of 2 to 500 choices
/// a user, of few users and of thousands, these found held-out choices best or nearly so; the library's own (40 and 0.01)
/// learn by heart what little there is.
const CONFIDENCE: f32 = 10.0;
const REGULARIZATION: f32 = 10.0;
/// What does not fit better than this is not recommended.
const NOTHING: f32 = 0.01;
/// The first vectors are random; the same ones in each run, so that the same choices give the same answer.
const SEED: u64 = 1;

/// A row of a recommender's table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Recommended {
    /// Number of the user.
    pub(super) user: u32,
    /// From 1.
    pub(super) rank: i32,
    /// Number of the item, which the user has not chosen.
    pub(super) item: u32,
    /// How well it fits: 1 is as well as what was chosen, 0 not at all.
    pub(super) score: f32,
}

/// At most `top` items for each user, the best first.
pub(super) fn recommend(choices: &Choices, top: usize) -> Vec<Recommended> {
    let model = RecommenderBuilder::new()
        .factors(FACTORS)
        .iterations(ROUNDS)
        .alpha(CONFIDENCE)
        .regularization(REGULARIZATION)
        .seed(SEED)
        // Once is a sign, and a hundred times not a hundred signs.
        .fit_implicit(
            choices
                .made
                .iter()
                .map(|(user, item, times)| (*user, *item, times.ln_1p())),
        );
    let items: Vec<&[f32]> = numbers(&choices.items)
        .filter_map(|item| model.item_factors(&item))
        .collect();
    let users: Vec<(u32, &[f32])> = numbers(&choices.users)
        .filter_map(|user| Some((user, model.user_factors(&user)?)))
        .collect();
    let each = users
        .len()
        .div_ceil(thread::available_parallelism().map_or(1, NonZero::get))
        .max(1);
    thread::scope(|scope| {
        let items = items.as_slice();
        let of = move |(user, vector): &(u32, &[f32])| {
            let chosen = chosen_by(choices, *user);
            best(*user, vector, items, &chosen, top)
        };
        let parts: Vec<_> = users
            .chunks(each)
            .map(|part| scope.spawn(move || part.iter().flat_map(of).collect::<Vec<_>>()))
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_default())
            .collect()
    })
}

/// What the names stand for: each was chosen, or has chosen, at least once, so that each has a vector.
fn numbers(names: &[String]) -> impl Iterator<Item = u32> {
    0..names.len() as u32
}

/// The items that a user chose, sorted.
fn chosen_by(choices: &Choices, user: u32) -> Vec<u32> {
    let begin = choices.made.partition_point(|(other, ..)| *other < user);
    let made = choices.made.get(begin..).unwrap_or_default();
    let mut items: Vec<u32> = made
        .iter()
        .take_while(|(other, ..)| *other == user)
        .map(|(_, item, _)| *item)
        .collect();
    items.sort_unstable();
    items
}

fn best(user: u32, vector: &[f32], items: &[&[f32]], chosen: &[u32], top: usize) -> Vec<Recommended> {
    let better = |one: &(u32, f32), other: &(u32, f32)| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0));
    let mut scores: Vec<(u32, f32)> = items
        .iter()
        .zip(0..)
        .filter(|(_, item)| chosen.binary_search(item).is_err())
        .map(|(other, item)| (item, vector.iter().zip(*other).map(|(a, b)| a * b).sum::<f32>()))
        .filter(|(_, score)| *score > NOTHING)
        .collect();
    if scores.len() > top {
        scores.select_nth_unstable_by(top, better);
        scores.truncate(top);
    }
    scores.sort_unstable_by(better);
    let ranked = scores.into_iter().zip(1..);
    ranked
        .map(|((item, score), rank)| Recommended {
            user,
            rank,
            item,
            score,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Users of one of two tastes, each of whom chose some of the 50 items of it.
    fn tastes(users: u32) -> Choices {
        let mut made = Vec::new();
        for user in 0..users {
            for step in 0..12 {
                // Steps that have no factor in common with 50 visit different items.
                let item = (user * 7 + step * 13) % 50 + (user % 2) * 50;
                made.push((user, item, 1.0 + (step % 3) as f32));
            }
        }
        made.sort_by_key(|(user, item, _)| (*user, *item));
        Choices {
            users: (0..users).map(|user| user.to_string()).collect(),
            items: (0..100).map(|item| item.to_string()).collect(),
            made,
        }
    }

    #[test]
    fn users_are_recommended_what_their_like_chose_and_they_did_not() {
        let choices = tastes(200);
        let found = recommend(&choices, 10);
        assert_eq!(found.len(), 2000);
        let own = found.iter().filter(|row| row.item / 50 == row.user % 2).count();
        assert!(own >= 1950, "{own} of 2000 are of the user's taste");
        for rows in found.chunk_by(|one, other| one.user == other.user) {
            let chosen: HashSet<u32> = chosen_by(&choices, rows[0].user).into_iter().collect();
            assert!(rows.iter().all(|row| !chosen.contains(&row.item)), "{rows:?}");
            assert!(
                rows.iter().zip(1..).all(|(row, rank)| row.rank == rank),
                "{rows:?}"
            );
            assert!(
                rows.is_sorted_by(|one, other| one.score >= other.score),
                "{rows:?}"
            );
        }
    }

    #[test]
    fn the_same_choices_give_the_same_answer() {
        let choices = tastes(50);
        assert_eq!(recommend(&choices, 3), recommend(&choices, 3));
    }

    #[test]
    fn without_anything_to_go_by_nothing_is_recommended() {
        assert_eq!(recommend(&Choices::default(), 5), []);
        let alone = Choices {
            users: vec!["1".to_owned()],
            items: vec!["a".to_owned()],
            made: vec![(0, 0, 3.0)],
        };
        assert_eq!(recommend(&alone, 5), [], "all there is was chosen already");
    }
}
