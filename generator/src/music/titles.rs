//! Names of artists, albums and tracks, put together from words. Some carry accents, other scripts, commas and
//! quotation marks, as real catalogues do.

use fake::Fake;
use fake::faker::name::en::{FirstName, Name};

use crate::random::Random;

#[rustfmt::skip]
const QUALITIES: [&str; 64] = [
    "Amber", "Ancient", "Autumn", "Bitter", "Black", "Blind", "Blue", "Borrowed", "Broken", "Burning", "Careless",
    "Cold", "Crooked", "Crystal", "Dancing", "Distant", "Divine", "Drifting", "Electric", "Empty", "Endless",
    "Faded", "Fearless", "Foreign", "Fragile", "Frozen", "Gentle", "Golden", "Hidden", "Hollow", "Holy", "Honest",
    "Infinite", "Lonely", "Lost", "Lucky", "Midnight", "Modern", "Naked", "Neon", "Open", "Paper", "Perfect",
    "Plastic", "Quiet", "Rebel", "Restless", "Rising", "Sacred", "Secret", "Silent", "Silver", "Simple", "Slow",
    "Stolen", "Strange", "Sweet", "Tender", "Velvet", "Violet", "Wandering", "Wicked", "Wild", "Young",
];
#[rustfmt::skip]
const THINGS: [&str; 80] = [
    "Alibi", "Angel", "Arrow", "Avenue", "Bird", "Bloom", "Bridge", "Canyon", "Carnival", "Chapel", "City", "Cloud",
    "Coast", "Compass", "Corazón", "Crown", "Dawn", "Daydream", "Desert", "Diamond", "Door", "Dream", "Echo",
    "Ember", "Empire", "Fever", "Fire", "Flower", "Forest", "Galaxy", "Garden", "Ghost", "Harbour", "Heart",
    "Highway", "Horizon", "Hurricane", "Island", "Jungle", "Lantern", "Letter", "Lightning", "Lover", "Machine",
    "Memory", "Mirror", "Moon", "Mountain", "Night", "Ocean", "Orchid", "Paradise", "Photograph", "Promise", "Rain",
    "River", "Road", "Room", "Rose", "Sailor", "Satellite", "Season", "Shadow", "Signal", "Sky", "Snow", "Soldier",
    "Spark", "Star", "Stranger", "Summer", "Sunrise", "Thunder", "Tide", "Train", "Valley", "Voice", "Water",
    "Window", "Winter",
];
#[rustfmt::skip]
const ACTIONS: [&str; 32] = [
    "Breathe", "Call", "Carry", "Chase", "Come", "Cry", "Dance", "Drive", "Fall", "Fly", "Follow", "Forget", "Hold",
    "Keep", "Leave", "Listen", "Live", "Look", "Move", "Remember", "Ride", "Run", "Say", "Shine", "Sing", "Stay",
    "Swim", "Take", "Turn", "Wait", "Walk", "Wake",
];
const WAYS: [&str; 12] = [
    "Above", "Across", "After", "Before", "Behind", "Beyond", "For", "Into", "Like", "Through", "Under",
    "Without",
];
#[rustfmt::skip]
const FOREIGN: [&str; 24] = [
    "Água de Março", "Chanson d'Été", "Corazón Perdido", "Danse Éternelle", "Die Straße", "Ein Traum", "El Camino",
    "Fêtes", "Io e Te", "La Niña", "Lumière", "Mañana", "Noche Azul", "O Caminho", "Où Es-Tu", "Paixão", "Sångën",
    "Über den Wolken", "Última Vez", "Ночь", "Звезда", "夜のうた", "星の道", "봄날의 꿈",
];

/// Person, band or project; the same name twice in a catalogue is rare.
pub(crate) fn artist(random: &mut Random) -> String {
    match random.below(20) {
        0..9 => Name().fake_with_rng(random),
        9..13 => format!("The {} {}s", quality(random), thing(random)),
        13..15 => format!("{} & The {}s", first_name(random), thing(random)),
        15..17 => format!("{} {}", thing(random), thing(random)),
        17 => format!("DJ {}", first_name(random)),
        18 => format!(
            "{}, {} & {}",
            first_name(random),
            first_name(random),
            first_name(random)
        ),
        _ => format!("{} of {}", quality(random), thing(random)),
    }
}

/// An album of one artist, or, one in twelve, one of the collections whose names many albums share.
pub(crate) fn album(random: &mut Random) -> String {
    match random.below(24) {
        0 => format!("Best of {}", 1990 + random.below(33)),
        1 => format!("{} Hits", quality(random)),
        2..12 => phrase(random),
        12..20 => format!("{} ({})", phrase(random), quality(random)),
        20..22 => format!("{}, Vol. {}", phrase(random), 1 + random.below(4)),
        _ => format!("{} (Deluxe Edition)", phrase(random)),
    }
}

/// A track; some are versions of others.
pub(crate) fn track(random: &mut Random) -> String {
    let name = phrase(random);
    match random.below(25) {
        0 => format!("{name} - Live"),
        1 => format!("{name} - Remastered {}", 2000 + random.below(23)),
        2 => format!("{name} ({} Remix)", first_name(random)),
        3..6 => format!("{name} (feat. {})", first_name(random)),
        6 => format!("{name}, Pt. {}", 1 + random.below(3)),
        _ => name,
    }
}

fn phrase(random: &mut Random) -> String {
    match random.below(25) {
        0..5 => format!("{} {}", quality(random), thing(random)),
        5..9 => format!("{} of the {} {}", thing(random), quality(random), thing(random)),
        9..13 => format!(
            "{} {} the {} {}",
            action(random),
            way(random),
            quality(random),
            thing(random)
        ),
        13..16 => format!("{} {} the {}", action(random), way(random), thing(random)),
        16..18 => format!("{} and {}", thing(random), thing(random)),
        18..20 => format!("{} Me a {} {}", action(random), quality(random), thing(random)),
        20 => thing(random).to_owned(),
        21 => format!("{}, {}", action(random), first_name(random)),
        22 => format!("{} \"{}\"", action(random), thing(random)),
        23 => format!(
            "{} ({})",
            random.pick(&FOREIGN).unwrap_or_default(),
            thing(random)
        ),
        _ => format!("{} in {}", quality(random), 1950 + random.below(75)),
    }
}

fn quality(random: &mut Random) -> &'static str {
    random.pick(&QUALITIES).unwrap_or_default()
}

fn thing(random: &mut Random) -> &'static str {
    random.pick(&THINGS).unwrap_or_default()
}

fn action(random: &mut Random) -> &'static str {
    random.pick(&ACTIONS).unwrap_or_default()
}

fn way(random: &mut Random) -> &'static str {
    random.pick(&WAYS).unwrap_or_default()
}

fn first_name(random: &mut Random) -> &'static str {
    FirstName().fake_with_rng(random)
}
