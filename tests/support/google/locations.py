"""Where Artifact Registry has repositories (`gcloud artifacts locations list`)."""

MULTI_REGIONS = ("asia", "europe", "us")

REGIONS = tuple(
    f"{area}{number}"
    for area, numbers in {
        "africa-south": (1,),
        "asia-east": (1, 2),
        "asia-northeast": (1, 2, 3),
        "asia-south": (1, 2),
        "asia-southeast": (1, 2),
        "australia-southeast": (1, 2),
        "europe-central": (2,),
        "europe-north": (1, 2),
        "europe-southwest": (1,),
        "europe-west": (1, 2, 3, 4, 6, 8, 9, 10, 12),
        "me-central": (1, 2),
        "me-west": (1,),
        "northamerica-northeast": (1, 2),
        "northamerica-south": (1,),
        "southamerica-east": (1,),
        "southamerica-west": (1,),
        "us-central": (1,),
        "us-east": (1, 4, 5),
        "us-south": (1,),
        "us-west": (1, 2, 3, 4),
    }.items()
    for number in numbers
)

LOCATIONS = tuple(sorted([*REGIONS, *MULTI_REGIONS]))

ON_REQUEST = frozenset({"me-central2"})
"""Listed for everybody, and open to those who have asked Google's sales for it."""
