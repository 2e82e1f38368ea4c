"""From daily prices to target weights, with the reason for every weight."""
