# Perl at work: hashes, regular expressions, closures.
use strict;
use warnings;

$| = 1;
my ($count, $announced) = (0, 0);
my (%words, @stack);

sub gone {
    my $bits = '';
    vec($bits, 0, 1) = 1;
    return select($bits, undef, undef, 0) > 0;
}

while (!$announced || $count < 60000 || !gone()) {
    $count++;
    my $word = join '', map { chr(97 + ($count * $_) % 26) } 1 .. 5;
    $words{$word}++;
    push @stack, sub { $count - $_[0] } if $count % 100 == 0;
    $word =~ s/([aeiou])/<$1>/g;
    if ($count == 20000) {
        print "ready\n";
        $announced = 1;
    }
}
my $sum = 0;
$sum += $_ for values %words;
die "counted $count, found $sum\n" if $sum != $count;
die "closures\n" if grep { $_->(1) != $count - 1 } @stack;
print "ok\n";
