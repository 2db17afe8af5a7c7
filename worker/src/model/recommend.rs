//! Items that users may like, from what they and others chose. Pure.
//!
//! Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (2008): users and items become
//! vectors whose product is near 1 where a user chose an item and near 0 elsewhere, the more so the more often it was
//! chosen. An item that the user did not choose, with a large product, is one that similar users chose.

use std::num::NonZero;
use std::thread;

use discorec::RecommenderBuilder;
use ndarray::{Array2, ArrayView1};

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
/// Users whose scores are worked out at a time: 13 MB of them, with a hundred thousand items.
const BLOCK: usize = 32;
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
    let items = Vectors::of(shared(choices), |item| model.item_factors(&item));
    let users: Vec<u32> = (0..choices.users.len() as u32).collect();
    let each = users
        .len()
        .div_ceil(thread::available_parallelism().map_or(1, NonZero::get));
    let blocks: Vec<Vectors> = users
        .chunks(BLOCK)
        .map(|block| Vectors::of(block.to_vec(), |user| model.user_factors(&user)))
        .collect();
    thread::scope(|scope| {
        let items = &items;
        let parts: Vec<_> = blocks
            .chunks(each.div_ceil(BLOCK).max(1))
            .map(|part| {
                let of = move |block| best_of_block(choices, block, items, top);
                scope.spawn(move || part.iter().flat_map(of).collect::<Vec<_>>())
            })
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_default())
            .collect()
    })
}

/// Users or items with their vectors, a row each.
struct Vectors {
    numbers: Vec<u32>,
    rows: Array2<f32>,
}

impl Vectors {
    fn of<'a>(numbers: Vec<u32>, vector: impl Fn(u32) -> Option<&'a [f32]>) -> Self {
        let mut rows = Array2::zeros((numbers.len(), FACTORS as usize));
        for (mut row, number) in rows.rows_mut().into_iter().zip(&numbers) {
            // Whatever was chosen, or has chosen, has one.
            if let Some(vector) = vector(*number) {
                row.assign(&ArrayView1::from(vector));
            }
        }
        Self { numbers, rows }
    }
}

/// Items that several users chose. One that a single user chose tells nothing about anybody else.
fn shared(choices: &Choices) -> Vec<u32> {
    let mut users = vec![0_u32; choices.items.len()];
    for (_, item, _) in &choices.made {
        if let Some(count) = users.get_mut(*item as usize) {
            *count += 1;
        }
    }
    let shared = users.into_iter().zip(0..).filter(|(count, _)| *count > 1);
    shared.map(|(_, item)| item).collect()
}

fn best_of_block(choices: &Choices, users: &Vectors, items: &Vectors, top: usize) -> Vec<Recommended> {
    let scores = users.rows.dot(&items.rows.t());
    let scored = users.numbers.iter().zip(scores.rows());
    scored
        .flat_map(|(user, scores)| {
            let chosen = chosen_by(choices, *user);
            best(*user, &scores, &items.numbers, &chosen, top)
        })
        .collect()
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

fn best(
    user: u32,
    scores: &ArrayView1<'_, f32>,
    items: &[u32],
    chosen: &[u32],
    top: usize,
) -> Vec<Recommended> {
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(top.min(items.len()) + 1);
    let mut least = NOTHING;
    for (score, item) in scores.iter().zip(items) {
        if *score <= least || chosen.binary_search(item).is_ok() {
            continue;
        }
        let place = best.partition_point(|(better, _)| better >= score);
        best.insert(place, (*score, *item));
        best.truncate(top);
        if best.len() == top {
            least = best.last().map_or(NOTHING, |(score, _)| *score);
        }
    }
    let ranked = best.into_iter().zip(1..);
    ranked
        .map(|((score, item), rank)| Recommended {
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
