# Hashes of strings and of arrays, grown, sorted and taken apart again.
use strict;
use warnings;
my ($file, $times) = @ARGV;
my ($total, $longest) = (0, 0);
for my $time (1 .. $times) {
    my (%places, %seen);
    open(my $input, '<', $file) or die "$file: $!";
    while (my $line = <$input>) {
        my @words = $line =~ /([a-z]+)/g;
        push @{ $places{$_} }, $. for @words;
        for my $i (1 .. $#words) { $seen{"$words[$i - 1] $words[$i]"} .= "$.,"; }
    }
    close($input);
    my $text = '';
    for my $word (sort { @{ $places{$b} } <=> @{ $places{$a} } || $a cmp $b } keys %places) {
        $text .= "$word:" . scalar(@{ $places{$word} }) . ' ';
    }
    $total = ($total * 31 + length($text) + scalar(keys %seen)) % 1000000007;
    for my $pair (keys %seen) { $longest = length($seen{$pair}) if length($seen{$pair}) > $longest; }
}
print "$total $longest\n";
