#!/usr/bin/env perl
# The reference contract (kvproto/conformance/CONTRACT.md) in Perl, with its core alone.
use strict;
use warnings;
use IO::Handle;

use constant { PIECE => 1 << 16, MAX_BYTES => 1 << 30 };

$SIG{PIPE} = 'IGNORE';
binmode $_ for *STDIN, *STDOUT, *STDERR;

my ( $input, $at ) = ( '', 0 );    # what has been read, and how much of it has been taken
my $output = '';

sub tell_driver {
    my ( $tag, $text ) = @_;
    syswrite STDERR, "**<$tag> " . $text =~ s/\n/\n**<$tag> /gr . "\n";
}

sub flush_output {
    while ( length $output ) {
        my $n = syswrite STDOUT, $output;
        die "cannot write: $!\n" unless defined $n;
        substr $output, 0, $n, '';
    }
}

sub answer {
    $output .= $_ for @_;
    flush_output() if length $output >= PIECE;
}

# More input, or false at end of file. It may block, and so all answers go out before.
sub fill {
    flush_output();
    substr $input, 0, $at, '';
    $at = 0;
    my $n = sysread STDIN, $input, PIECE, length $input;
    die "cannot read: $!\n" unless defined $n;
    return $n;
}

sub take {
    my ( $size, $what ) = @_;
    while ( length($input) - $at < $size ) {
        fill() or die "truncated input: end of file in $what of $size bytes\n";
    }
    $at += $size;
    return substr $input, $at - $size, $size;
}

sub item {
    my $size = unpack 'V', take( 4, 'the size' );
    die "an item of $size bytes is over the limit\n" if $size > MAX_BYTES;
    return take( $size, 'an item' );
}

sub next_pair {
    return if $at == length $input && !fill();
    return ( item(), item() );
}

sub framed {
    return map { pack 'V/a*', $_ } @_;
}

sub list {
    answer( pack( 'V', @_ / 2 ), framed(@_) );
}

# A size in a parameter set: from a string at its pos().
sub size_at {
    my ($text) = @_;
    $$text =~ /\G([0-9]{1,10}) /gc or die "parameters: no size of 1 to 10 digits and a space\n";
    return $1;
}

sub read_params {
    my $head = '';
    until ( $head =~ /\n\z/ ) {
        $head .= take( 1, 'the total' );
        $head =~ /\A[0-9]{1,10}\n?\z/ or die "parameters: the total is not 1 to 10 digits and a newline\n";
    }
    chomp $head;
    die "parameters of $head bytes are over the limit\n" if $head > MAX_BYTES;
    my $entries = take( $head, 'the parameter set' );
    my %params;
    pos($entries) = 0;
    while ( pos($entries) < length $entries ) {
        my @halves;
        for my $closing ( ' ', "\n" ) {
            my ( $size, $from ) = ( size_at( \$entries ), pos $entries );
            $from + $size < length $entries && substr( $entries, $from + $size, 1 ) eq $closing
                or die "parameters: an entry is not closed as it should be\n";
            push @halves, substr $entries, $from, $size;
            pos($entries) = $from + $size + 1;
        }
        $params{ $halves[0] } = $halves[1];
    }
    return %params;
}

sub read_file {
    my ($name) = @_;
    die "not the plain name of a file: $name\n" if $name =~ m{\A\.{0,2}\z|[/\0]};
    open my $file, '<:raw', $name or die "cannot open $name: $!\n";
    my $contents = do { local $/; <$file> };
    close $file or die "cannot read $name: $!\n";
    return $contents // '';
}

sub run {
    my $mode = @ARGV ? $ARGV[-1] : '';
    die "the last argument is map or reduce, not '$mode'\n" unless $mode =~ /\A(?:map|reduce)\z/;
    my $is_map = $mode eq 'map';
    my %params = read_params();
    my $do     = $params{do} // 'echo';
    my $needed = sub { $params{ $_[0] } // die "the parameter $_[0] is missing\n" };
    my $number = sub {
        my $n = $needed->( $_[0] );
        $n =~ /\A[0-9]{1,10}\z/ && $n < 2**32 or die "the parameter $_[0] is not a number up to 4294967295\n";
        return $n + 0;
    };
    if ( $do eq 'echo' || ( $do eq 'hold' && $is_map ) ) {
        while ( my @pair = next_pair() ) { list(@pair) }
    }
    elsif ( $do eq 'fan' ) {
        my $n = $number->('n');
        while ( my @pair = next_pair() ) {
            my $framed = join '', framed(@pair);
            answer( pack 'V', $n );
            answer($framed) for 1 .. $n;
        }
    }
    elsif ( $do eq 'sink' ) {
        while ( my @pair = next_pair() ) { list() if $is_map }
    }
    elsif ( $do eq 'params' ) {
        my @listed = map { $_, $params{$_} } sort keys %params;
        while ( my @pair = next_pair() ) { list(@listed) if $is_map }
        list(@listed) unless $is_map;
    }
    elsif ( $do eq 'say' ) {
        my $text = $needed->('text');
        for ( my $i = 0 ; my @pair = next_pair() ; $i++ ) {
            tell_driver( MSG => "$text $i" );
            list(@pair);
        }
    }
    elsif ( $do eq 'err' ) {
        my ( $text, $stop ) = ( $needed->('text'), $number->('at') );
        for ( my $i = 0 ; my @pair = next_pair() ; $i++ ) {
            die "$text\n" if $i == $stop;
            list(@pair);
        }
    }
    elsif ( $do eq 'file' ) {
        my $name = $needed->('name');
        my @pair = ( $name, read_file($name) );
        while ( my @read = next_pair() ) { list(@pair) }
    }
    elsif ( $do eq 'hold' ) {
        my ( @held, @pair );
        push @held, @pair while @pair = next_pair();
        answer( pack 'V', @held / 2 );
        answer( framed($_) ) for @held;
    }
    else {
        die "do=$do: not a thing that the contract knows\n";
    }
}

my $fault = eval { run(); 1 } ? undef : $@;
eval { flush_output(); close STDOUT or die "cannot close stdout: $!\n" } or $fault //= $@;
if ( defined $fault ) {
    chomp $fault;
    tell_driver( ERR => $fault );
    exit 1;
}
