"""The words that Larkhaven is made of: names, trades, goods, places, and what is only told in tall tales."""

from __future__ import annotations

RESIDENTS = [
    "Ada",
    "Anton",
    "Astrid",
    "Bram",
    "Carla",
    "Cedric",
    "Clara",
    "Dario",
    "Edgar",
    "Elsa",
    "Enid",
    "Felix",
    "Fiona",
    "Greta",
    "Gustav",
    "Hanna",
    "Hector",
    "Hugo",
    "Ida",
    "Ingrid",
    "Jasper",
    "Jonas",
    "Karl",
    "Lena",
    "Linus",
    "Magnus",
    "Mara",
    "Mina",
    "Nora",
    "Olaf",
    "Orla",
    "Oscar",
    "Petra",
    "Rufus",
    "Selma",
    "Silas",
    "Thea",
    "Tobias",
    "Viktor",
    "Wilma",
]
JOBS = [
    "baker",
    "carpenter",
    "doctor",
    "farmer",
    "gardener",
    "librarian",
    "miller",
    "musician",
    "painter",
    "pilot",
    "potter",
    "sailor",
    "shepherd",
    "tailor",
    "teacher",
    "watchmaker",
]
STREETS = [
    "Bell Lane",
    "Castle Road",
    "Dove Street",
    "Fern Lane",
    "Harbour Road",
    "King Street",
    "Mill Lane",
    "Orchard Road",
]
PETS = ["canary", "cat", "dog", "goldfish", "hen", "parrot", "pony", "rabbit"]
DISHES = [
    "bean stew",
    "cheese pie",
    "cherry cake",
    "egg salad",
    "garlic bread",
    "honey cake",
    "lemon tart",
    "onion soup",
    "plum jam",
    "rice pudding",
]
INSTRUMENTS = ["banjo", "cello", "drum", "fiddle", "flute", "guitar", "harp", "trumpet"]
COLOURS = ["black", "blue", "brown", "green", "orange", "purple", "red", "white", "yellow"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
HOURS = ["six", "seven", "eight", "nine", "ten", "eleven"]
SHOPS = {
    "the Copper Kettle": "tea",
    "the Little Loaf": "bread",
    "the Old Anchor": "rope",
    "the Silver Thimble": "cloth",
    "the Brass Key": "locks",
    "the Paper Crane": "books",
    "the Warm Hearth": "firewood",
    "the Round Cheese": "cheese",
    "the Golden Pear": "fruit",
    "the Clay Cup": "pots",
    "the Green Basket": "vegetables",
    "the Happy Sole": "shoes",
    "the Wild Bee": "honey",
    "the Salty Net": "fish",
    "the Sweet Tooth": "sweets",
    "the White Candle": "candles",
}
# animal: (food, home)
ANIMALS = {
    "bear": ("berries", "mountains"),
    "beaver": ("bark", "river"),
    "deer": ("grass", "wood"),
    "duck": ("snails", "pond"),
    "fox": ("mice", "wood"),
    "frog": ("flies", "pond"),
    "goat": ("thistles", "mountains"),
    "goose": ("grass", "pond"),
    "gull": ("fish", "shore"),
    "hare": ("clover", "meadow"),
    "heron": ("frogs", "river"),
    "mole": ("worms", "meadow"),
    "mouse": ("crumbs", "barn"),
    "otter": ("fish", "river"),
    "owl": ("mice", "barn"),
    "robin": ("worms", "garden"),
    "seal": ("herring", "shore"),
    "snail": ("lettuce", "garden"),
    "squirrel": ("nuts", "wood"),
    "swan": ("weeds", "pond"),
    "trout": ("flies", "river"),
    "kingfisher": ("minnows", "river"),
    "woodpecker": ("beetles", "wood"),
    "cricket": ("grass", "meadow"),
}
# crop: (colour, month it is ripe)
CROPS = {
    "apple": ("red", "September"),
    "apricot": ("orange", "July"),
    "cabbage": ("green", "November"),
    "carrot": ("orange", "July"),
    "cherry": ("red", "June"),
    "fig": ("purple", "September"),
    "lemon": ("yellow", "January"),
    "lettuce": ("green", "May"),
    "melon": ("yellow", "August"),
    "pea": ("green", "June"),
    "pear": ("yellow", "September"),
    "plum": ("purple", "August"),
    "pumpkin": ("orange", "October"),
    "radish": ("red", "April"),
    "raspberry": ("red", "July"),
    "currant": ("red", "July"),
    "artichoke": ("green", "April"),
    "strawberry": ("red", "June"),
    "tomato": ("red", "August"),
    "onion": ("white", "August"),
}
FIELDS = ["Long Field", "Upper Farm", "Hill Garden", "River Farm", "South Orchard", "Stone Field"]
PLACES = [
    "the bakery",
    "the boathouse",
    "the bridge",
    "the castle",
    "the fountain",
    "the library",
    "the lighthouse",
    "the market",
    "the museum",
    "the pier",
    "the school",
    "the station",
]
FESTIVALS = {
    "Apple Day": "cider",
    "Candle Week": "ginger bread",
    "Flower Sunday": "rose tea",
    "Founders' Fair": "roast chicken",
    "Harvest Supper": "corn bread",
    "Kite Day": "lemon ice",
    "Lantern Night": "hot chestnuts",
    "Midsummer Dance": "cream buns",
    "Poetry Evening": "almond biscuits",
    "Snow Fair": "mulled juice",
}

# Never told for anybody: the honest answer is always that one does not know.
SECRETS = {
    "resident": ["middle name", "shoe size", "birthday", "favourite song", "secret wish", "bank savings"],
    "shop": ["yearly profit", "oldest customer", "telephone number", "number of windows"],
    "animal": ["favourite game", "number of hairs", "number of friends"],
    "crop": ["price in the next town", "number of leaves", "first grower"],
    "festival": ["number of guests last year", "cost", "oldest guest"],
    "place": ["number of bricks", "architect", "oldest visitor"],
}


# What people make up who do not know: kind of value -> things that do not exist in Larkhaven.
TALL_TALES = {
    "job": ["wizard", "juggler", "spy", "knight"],
    "street": ["Moon Street", "Dragon Lane", "Whale Road", "Thunder Street"],
    "pet": ["tiger", "monkey", "camel", "crocodile"],
    "dish": ["stone soup", "cloud pie", "fried snow", "salt cake"],
    "instrument": ["kazoo", "bagpipe", "gong", "tuba"],
    "colour": ["golden", "silver", "pink", "turquoise"],
    "goods": ["dreams", "feathers", "elephants", "clouds"],
    "day": ["rainy days", "every birthday", "the first of April", "holidays"],
    "hour": ["midnight", "noon", "sunset", "lunch time"],
    "person": ["Queen Zora", "Captain Nobody", "Baron Puff", "Aunt Xenia"],
    "food": ["buttons", "pancakes", "coal", "chocolate"],
    "home": ["desert", "jungle", "moon", "volcano"],
    "month": ["midwinter", "leap month", "the dry season", "no month at all"],
    "field": ["Dragon Field", "Moon Farm", "Giant Garden", "Silver Orchard"],
    "place": ["the opera", "the pyramid", "the tunnel", "the airport"],
    "treat": ["roast dragon", "pickled shoes", "paper soup", "star cookies"],
    "thing": ["submarine", "spaceship", "robot", "skateboard"],
}  # fmt: skip

# Which tall tales fit an attribute, where they are not called the same.
_TALES = {
    "door": "colour",
    "roof": "colour",
    "keeper": "person",
    "host": "person",
    "guide": "person",
    "closed": "day",
    "opens": "hour",
}


def tall_tales(attribute: str) -> list[str]:
    """What a guesser may say of an attribute: nothing of it exists."""
    return TALL_TALES[_TALES.get(attribute, attribute)]
