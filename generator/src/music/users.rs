//! The population: each user is a pure function of the seed and the user's id, and takes no memory.

use fake::Fake;
use fake::faker::name::en::Name;

use crate::fingerprint::Fingerprint;
use crate::random::{Family, Purpose, Random};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gender {
    M,
    F,
    /// Neither, or not said.
    X,
}

impl Gender {
    pub(crate) const ALL: [Self; 3] = [Self::M, Self::F, Self::X];

    /// `M`, `F` or `X`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::M => "M",
            Self::F => "F",
            Self::X => "X",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gender| gender.as_str() == text)
    }
}

/// An age band of the preference table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Band {
    Teens,
    Twenties,
    Thirties,
    Forties,
    Fifties,
    Sixties,
}

impl Band {
    pub(crate) const ALL: [Self; 6] = [
        Self::Teens,
        Self::Twenties,
        Self::Thirties,
        Self::Forties,
        Self::Fifties,
        Self::Sixties,
    ];

    pub(crate) fn of_age(age: u8) -> Self {
        match age {
            ..20 => Self::Teens,
            20..30 => Self::Twenties,
            30..40 => Self::Thirties,
            40..50 => Self::Forties,
            50..60 => Self::Fifties,
            60.. => Self::Sixties,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Teens => "10-19",
            Self::Twenties => "20-29",
            Self::Thirties => "30-39",
            Self::Forties => "40-49",
            Self::Fifties => "50-59",
            Self::Sixties => "60+",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|band| band.as_str() == text)
    }
}

/// What of a user decides on what the user listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) gender: Gender,
    /// Years, 10 to 80.
    pub(crate) age: u8,
}

/// A row of `music.users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) profile: Profile,
}

/// The population with ids `1..=count`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Users {
    family: Family,
    count: u32,
}

impl Users {
    pub(crate) fn new(seed: u64, count: u32) -> Self {
        Self {
            family: Family::new(seed, Purpose::Users, 0),
            count,
        }
    }

    pub(crate) fn count(self) -> u32 {
        self.count
    }

    /// The user's profile; a few nanoseconds.
    pub(crate) fn profile(self, id: u32) -> Profile {
        Self::draw_profile(&mut self.family.stream(u64::from(id)))
    }

    pub(crate) fn user(self, id: u32) -> User {
        let mut random = self.family.stream(u64::from(id));
        let profile = Self::draw_profile(&mut random);
        User {
            name: Name().fake_with_rng(&mut random),
            profile,
        }
    }

    /// The whole population in one number.
    pub(crate) fn fingerprint(self, fingerprint: &mut Fingerprint) {
        fingerprint.number(u64::from(self.count));
        fingerprint.number(self.family.stream(0).next());
    }

    fn draw_profile(random: &mut Random) -> Profile {
        // 48 % each, and 4 % X.
        let gender = match random.below(100) {
            0..48 => Gender::M,
            48..96 => Gender::F,
            _ => Gender::X,
        };
        Profile {
            gender,
            age: 10 + random.below(71) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_fall_into_their_bands() {
        for (age, band) in [
            (10, "10-19"),
            (19, "10-19"),
            (20, "20-29"),
            (39, "30-39"),
            (40, "40-49"),
            (59, "50-59"),
            (60, "60+"),
            (80, "60+"),
        ] {
            assert_eq!(Band::of_age(age).as_str(), band);
        }
    }

    #[test]
    fn the_population_has_its_shares() {
        let users = Users::new(42, 100_000);
        let profiles: Vec<Profile> = (1..=users.count()).map(|id| users.profile(id)).collect();
        let share = |gender| profiles.iter().filter(|profile| profile.gender == gender).count() as f64 / 1e5;
        assert!((share(Gender::M) - 0.48).abs() < 0.01);
        assert!((share(Gender::F) - 0.48).abs() < 0.01);
        assert!((share(Gender::X) - 0.04).abs() < 0.005);
        for age in 10..=80 {
            let count = profiles.iter().filter(|profile| profile.age == age).count();
            assert!((1_200..1_620).contains(&count), "{count} users are {age}");
        }
        assert!(profiles.iter().all(|profile| (10..=80).contains(&profile.age)));
    }

    /// Profile and full user are drawn from the same numbers, so the events fit the table of users.
    #[test]
    fn a_user_has_its_profile() {
        let users = Users::new(7, 1_000);
        for id in 1..=1_000 {
            let user = users.user(id);
            assert_eq!(user.profile, users.profile(id));
            assert!(user.name.contains(' '), "{}", user.name);
        }
        assert_ne!(Users::new(7, 9).user(1), Users::new(8, 9).user(1));
        assert_eq!(Users::new(7, 9).user(1), Users::new(7, 1_000_000).user(1));
    }
}
