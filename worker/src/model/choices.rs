//! What users chose, as it is stored.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use api::Recommender;

use sinks::sql::quote_ident;
use sinks::{Sink, SinkError};

/// Items of one user that are looked at: those that the user chose most often. Tastes show in fewer, and whoever never
/// stops does not fill the memory.
const ITEMS_OF_A_USER: u32 = 500;

/// Users, items, and who chose what. Users and items are numbered from 0 in the order in which they come.
#[derive(Debug, Default)]
pub(super) struct Choices {
    pub(super) users: Vec<String>,
    pub(super) items: Vec<String>,
    /// User, item and how often, by user.
    pub(super) made: Vec<(u32, u32, f32)>,
}

impl Choices {
    /// Reads and counts the interactions; rows without a user or an item count for nothing.
    pub(super) async fn read(columns: &Recommender, sink: &Sink) -> Result<Self, SinkError> {
        let mut choices = Self::default();
        let mut numbers = HashMap::new();
        let visit = |row: Vec<Option<String>>| {
            if let [Some(user), Some(item), Some(count)] = row.as_slice() {
                choices.add(user, item, count.parse().unwrap_or(1.0), &mut numbers);
            }
        };
        sink.visit(&question(columns), visit).await?;
        Ok(choices)
    }

    /// Users come one after the other.
    fn add(&mut self, user: &str, item: &str, count: f32, numbers: &mut HashMap<String, u32>) {
        if self.users.last().is_none_or(|last| last != user) {
            self.users.push(user.to_owned());
        }
        let number = numbers.get(item).copied().unwrap_or_else(|| {
            let number = self.items.len() as u32;
            self.items.push(item.to_owned());
            numbers.insert(item.to_owned(), number);
            number
        });
        self.made.push((self.users.len() as u32 - 1, number, count));
    }

    /// Changes when the choices do.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.users, &self.items).hash(&mut hasher);
        for (user, item, times) in &self.made {
            (user, item, times.to_bits()).hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn question(columns: &Recommender) -> String {
    let [user, item] = [&columns.user, &columns.item].map(|name| quote_ident(name));
    let table = quote_ident(columns.interactions.as_str());
    format!(
        "SELECT {user}, {item}, times FROM (\
         SELECT {user}, {item}, count(*) AS times, \
         row_number() OVER (PARTITION BY {user} ORDER BY count(*) DESC, {item}) AS place \
         FROM {table} WHERE {user} IS NOT NULL AND {item} IS NOT NULL GROUP BY {user}, {item}) AS counted \
         WHERE place <= {ITEMS_OF_A_USER} ORDER BY {user}, {item}"
    )
}
