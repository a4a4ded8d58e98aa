"""Colours of pages: how browsers write them, and how well they can be told apart (WCAG 2.2)."""


def channels(colour: str) -> list[int]:
    """The three channels of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    return [int(digits[place : place + 2], 16) for place in (0, 2, 4)]


def rgb(colour: str) -> str:
    """A colour as browsers write it."""
    return f"rgb({', '.join(map(str, channels(colour)))})"


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [one / 255 for one in channels(colour)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2.2)."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)
